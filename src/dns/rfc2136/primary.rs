//! Whom an update is for (RFC 2136, 4): the zone that holds a name, and the primary server that its SOA names.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use hickory_proto::rr::Name;

use crate::dns::ask::{Asker, Server, fqdn, plain};

/// The zone of this server that holds `name`.
///
/// # Errors
/// It does not answer, or holds none.
pub async fn zone_at(server: SocketAddr, name: &str) -> anyhow::Result<String> {
    Asker::new(&[server]).zone(name).await?.with_context(|| {
        format!(
            "the DNS server {server} holds no zone for {name}\nhelp: `server` must be a server of that zone, its primary at best"
        )
    })
}

impl Asker {
    /// The zone that holds `name`, if updates of it would find its primary.
    ///
    /// # Errors
    /// Nobody knows the zone, or its primary's address.
    pub async fn zone_of_primary(&self, name: &str) -> anyhow::Result<String> {
        let zone = zone(self, name).await?;
        servers(self, self, &fqdn(&zone)?).await?;
        Ok(zone)
    }
}

/// The zone that holds `name`, whoever serves it.
pub(in crate::dns) async fn zone(asker: &Asker, name: &str) -> anyhow::Result<String> {
    asker.zone(name).await?.with_context(|| {
        format!(
            "no name server says in which zone {name} stands\nhelp: set `server` of the `[dns.NAME]`, or `nameservers` that know the zone"
        )
    })
}

/// The primary of the zone at its addresses: by the SOA that `knows` sees, or where it gave the zone away `asker`, and the
/// addresses that either of them finds.
pub(in crate::dns) async fn servers(
    knows: &Asker,
    asker: &Asker,
    zone: &Name,
) -> anyhow::Result<Vec<Server>> {
    let shown = plain(zone);
    let help = "help: set `server` of the `[dns.NAME]` to the address of the zone's primary";
    let primary = match knows.primary(zone).await? {
        None => asker.primary(zone).await?,
        known => known,
    };
    let Some(primary) = primary else {
        bail!("the SOA of {shown} names no primary server\n{help}");
    };
    let mut found = asker.addresses(&primary).await;
    if found.is_empty() {
        found = knows.addresses(&primary).await;
    }
    if found.is_empty() {
        bail!(
            "the SOA of {shown} names {} as its primary, which has no address here\n{help}",
            plain(&primary)
        );
    }
    found.truncate(MOST);
    Ok(found)
}

/// Addresses that are tried: a primary has one or two of each family, and each may take ten seconds to be silent.
const MOST: usize = 4;
