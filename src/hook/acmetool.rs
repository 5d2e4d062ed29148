//! acmetool: the event `live-updated`, with hostnames on stdin. Each has a link `live/HOST` to its certificate's folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::signs::ACMETOOL;
use super::words::{Base, Word};
use super::{Call, Dialect, Error, Event, Heard, Names};
use crate::config::Source;

/// "Event not supported" (acmetool's documentation of hooks): the same as that there is no such hook.
const NOT_SUPPORTED: u8 = 42;

/// acmetool's folder of links; the hostnames among them that changed stand on stdin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    live: PathBuf,
}

impl Hosts {
    /// The certificates of the hostnames on stdin: hostnames with one certificate are one lineage, by the first of them.
    /// `place` follows a link.
    ///
    /// # Errors
    /// A line that is no hostname.
    pub fn events(
        &self,
        stdin: &str,
        place: impl Fn(&Path) -> PathBuf,
    ) -> Result<Vec<Event>, Error> {
        let mut hosts: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
        let mut lines: Vec<&str> = stdin.lines().map(str::trim).collect();
        lines.retain(|line| !line.is_empty());
        lines.sort_unstable();
        lines.dedup();
        for line in lines {
            if !is_hostname(line) {
                return Err(no_hostname(line));
            }
            hosts.entry(place(&self.live.join(line))).or_default().push(line.to_lowercase());
        }
        let mut events: Vec<Event> =
            hosts.into_values().filter_map(|names| self.event(names)).collect();
        events.sort_by(|a, b| a.source.cmp(&b.source));
        Ok(events)
    }

    fn event(&self, names: Vec<String>) -> Option<Event> {
        let name = names.first()?.clone();
        let source = Source::folder(self.live.join(&name));
        Some(Event { dialect: Dialect::Acmetool, source, name, names: Names::Told(names) })
    }
}

pub(super) fn heard(call: &Call<'_>, args: &[String]) -> Result<Heard, Error> {
    let dialect = Dialect::Acmetool;
    let state = Word::var(call, dialect, "ACME_STATE_DIR")?;
    match args.first() {
        Some(event) if event == ACMETOOL => {
            let live = state.path(dialect, Base::Nowhere)?.join("live");
            Ok(Heard::Hosts(Hosts { live }))
        }
        Some(_) => Ok(Heard::Nothing(NOT_SUPPORTED)),
        None => Err(Error::new(
            "acmetool's event is not given",
            "hand its words on: `certferry hook -- acmetool \"$@\"`",
        )),
    }
}

/// A name that is one folder's under live/. Whether it is a CDN domain is judged later.
fn is_hostname(line: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || "-._*".contains(letter);
    !line.starts_with('.') && line.chars().all(is_letter)
}

fn no_hostname(line: &str) -> Error {
    Error::new(
        format!("acmetool tells the hostname {line:?}, which is none"),
        "it writes a hostname a line to stdin: look at what has called this hook",
    )
}
