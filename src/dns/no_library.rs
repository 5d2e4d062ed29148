//! In place of the library's services, where certferry was built without them.

use std::path::Path;
use std::rc::Rc;

use anyhow::bail;
use secrecy::SecretString;

use super::ask::Asker;
use super::exec::Exec;
use crate::config;

/// There is nothing to open.
///
/// # Errors
/// Always: what to do.
pub(super) fn open(
    name: &str,
    library: &config::Library,
    _secret: &dyn Fn(&Path) -> anyhow::Result<SecretString>,
    _asker: Rc<Asker>,
) -> anyhow::Result<Exec> {
    bail!(
        "the kind `{}` of the `[dns.{name}]` is not in this program\nhelp: build it in: \
         cargo build --release --features more-dns; or let a CNAME lead _acme-challenge to a zone of a kind that is here",
        library.kind.name
    );
}
