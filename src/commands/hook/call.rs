//! How the hook was called: by which client, and about which certificates.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;

use crate::cli::Hook as Flags;
use crate::commands::{Refusal, told_error};
use crate::config::CdnDomain;
use crate::ground::Ground;
use crate::hook::{self, Call, Dialect, Error, Event, Files, Heard};

/// Ten thousand hostnames, each as long as one may be, fit well.
const MOST_STDIN: u64 = 4 << 20;

/// acmetool has written its hostnames before it waits.
const STDIN_PATIENCE: Duration = Duration::from_secs(5);

/// Seconds after which a hook ends: the clients that have a time limit of their own give two minutes (lego).
const DEADLINE: u64 = 100;

/// Caddy's events end a program after 30 seconds, without a word to it.
const DEADLINE_AT_CADDY: u64 = 25;

/// What a call is about.
pub(super) enum Called {
    /// These certificates; none, if acmetool tells no hostname.
    For(Vec<Event>),
    /// Nothing of ours: to be ended with this status, in silence.
    ForNothing(u8),
}

/// Hears who calls, and says it.
pub(super) async fn called(flags: &Flags, ground: &Ground) -> Result<Called, Refusal> {
    let args: Vec<String> =
        flags.args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let here = std::path::absolute(".").unwrap_or_else(|_| PathBuf::from("."));
    let files = flags.cert.as_deref().zip(flags.key.as_deref());
    let name = flags.name.as_deref();
    let files = files.map(|(chain, key)| Files { chain, key, name });
    let var = |name: &str| ground.env.var(name);
    let call = Call { var: &var, args: &args, files, here: &here };
    let events = match hook::hear(&call).map_err(wrong)? {
        Heard::Nothing(code) => return Ok(Called::ForNothing(code)),
        Heard::Certificate(event) => vec![event],
        Heard::Hosts(hosts) => hosts.events(&hostnames(ground).await?, place).map_err(wrong)?,
    };
    for Event { dialect, source, name, .. } in &events {
        ground.say.line(format!("{dialect}: {name} ({source})"));
    }
    Ok(Called::For(events))
}

/// Within how many seconds the client wants an end.
pub(super) fn patience(events: &[Event]) -> u64 {
    let is_caddys = events.iter().any(|event| event.dialect == Dialect::Caddy);
    if is_caddys { DEADLINE_AT_CADDY } else { DEADLINE }
}

/// Which certificate gets which of the CDN domains that flags name: the first that covers it. With several
/// certificates, those that get none are not asked about.
pub(super) fn shared(domains: &[String], events: Vec<Event>) -> Vec<(Event, Vec<String>)> {
    let mut shares: Vec<(Event, Vec<String>)> =
        events.into_iter().map(|event| (event, Vec::new())).collect();
    for written in domains {
        let place = shares.iter().position(|(event, _)| covers(event, written)).unwrap_or(0);
        if let Some((_, own)) = shares.get_mut(place) {
            own.push(written.clone());
        }
    }
    if !domains.is_empty() {
        shares.retain(|(_, own)| !own.is_empty());
    }
    shares
}

/// By the names that were told; the check before the upload goes by the certificate's.
fn covers(event: &Event, written: &str) -> bool {
    let Ok(domain) = CdnDomain::read(written) else { return false };
    let host = domain.api_name.as_str();
    let is_it = |name: &String| match name.strip_prefix('*') {
        Some(parent) => host == parent || host.find('.').is_some_and(|dot| &host[dot..] == parent),
        None => name == host,
    };
    event.names.told().iter().any(is_it)
}

async fn hostnames(ground: &Ground) -> Result<String, Refusal> {
    let help = "acmetool writes a hostname a line, and ends it: look at what has called this hook";
    ground.input.text(MOST_STDIN, STDIN_PATIENCE).await.map_err(|error| {
        let what = if error.kind() == ErrorKind::TimedOut {
            "stdin does not end".to_owned()
        } else if error.kind() == ErrorKind::FileTooLarge {
            "stdin is too large for hostnames".to_owned()
        } else {
            format!("stdin cannot be read: {error}")
        };
        Refusal::Failed(anyhow!("{what}\nhelp: {help}"))
    })
}

fn wrong(error: Error) -> Refusal {
    Refusal::Wrong(told_error(&error.into()))
}

/// Where a link leads now.
fn place(link: &Path) -> PathBuf {
    link.canonicalize().unwrap_or_else(|_| link.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;
    use crate::hook::Names;

    fn event(dialect: Dialect, names: &[&str]) -> Event {
        let names = names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let name = names.first().cloned().unwrap_or_default();
        Event { dialect, source: Source::folder("/l"), name, names: Names::Told(names) }
    }

    #[test]
    fn caddy_waits_for_less() {
        assert_eq!(patience(&[event(Dialect::Caddy, &[])]), 25);
        assert_eq!(patience(&[event(Dialect::Lego5, &[])]), 100);
        assert_eq!(patience(&[]), 100);
    }

    #[test]
    fn a_cdn_domain_goes_to_what_covers_it() {
        let check = |domains: &[&str], expected: &[(&str, &[&str])]| {
            let events = [&["a.test", "www.a.test"], &["*.b.test", "c.test"]]
                .map(|names| event(Dialect::Acmetool, names));
            let domains: Vec<String> = domains.iter().map(|&domain| domain.to_owned()).collect();
            let shares = shared(&domains, events.into());
            let shares: Vec<_> =
                shares.iter().map(|(event, own)| (&*event.name, own.clone())).collect();
            let owned = |own: &[&str]| own.iter().map(|&domain| domain.to_owned()).collect();
            let expected: Vec<(&str, Vec<String>)> =
                expected.iter().map(|(name, own)| (*name, owned(own))).collect();
            assert_eq!(shares, expected, "{domains:?}");
        };
        check(&[], &[("a.test", &[]), ("*.b.test", &[])]);
        check(&["x.b.test"], &[("*.b.test", &["x.b.test"])]);
        check(&["*.b.test", "A.test"], &[("a.test", &["A.test"]), ("*.b.test", &["*.b.test"])]);
        check(&["x.y.b.test"], &[("a.test", &["x.y.b.test"])]);
        check(&["www.a.test", "c.test"], &[("a.test", &["www.a.test"]), ("*.b.test", &["c.test"])]);
    }
}
