//! Asks the edge until it serves what was uploaded, with a chain that its clients take.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::{FIRST_PAUSE, LONGEST_PAUSE};
use crate::cert::{Chain, Fingerprint, Leaf};
use crate::config::CdnDomain;
use crate::look::edge::{self, Node};

/// The documents promise effect "within a minute"; three are that and two for the edges that are late. What comes
/// later still is seen by the next run.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A handshake with the other end of the world takes one second; five is an edge that is not there.
pub const LOOK: Duration = Duration::from_secs(5);

/// An edge, and what it must serve.
pub struct Edge<'a> {
    /// A name or an address.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// The CDN domain.
    pub domain: &'a CdnDomain,
    /// The leaf.
    pub wanted: Fingerprint,
    /// What its clients would find wrong with a chain.
    pub fault: &'a dyn Fn(&Chain) -> Option<String>,
}

/// What an edge shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AtEdge {
    /// The wanted leaf at each address that answers, in a good chain.
    Shown,
    /// Another one at this address.
    Other(SocketAddr, Leaf),
    /// The wanted leaf in a chain that its clients do not take; why.
    Faulty(SocketAddr, String),
    /// Nothing: no address answers; why.
    Unreached(String),
}

impl Edge<'_> {
    /// Asks once.
    pub async fn look(&self) -> AtEdge {
        match edge::edge(self.host, self.port, self.domain, LOOK).await {
            Ok(nodes) => self.judge(&nodes),
            Err(why) => AtEdge::Unreached(why),
        }
    }

    /// One that is behind decides, for it has clients of its own; one that cannot be reached from here does not.
    fn judge(&self, nodes: &[Node]) -> AtEdge {
        let served = || {
            let shown = nodes.iter().map(|node| (node.address, node.shown.as_ref().ok()));
            shown.filter_map(|(address, chain)| Some((address, chain?)))
        };
        if served().next().is_none() {
            return AtEdge::Unreached(silence(nodes));
        }
        if let Some((address, chain)) =
            served().find(|(_, chain)| chain.leaf().fingerprint != self.wanted)
        {
            return AtEdge::Other(address, chain.leaf().clone());
        }
        let faulty = |(address, chain)| Some((address, (self.fault)(chain)?));
        match served().find_map(faulty) {
            Some((address, fault)) => AtEdge::Faulty(address, fault),
            None => AtEdge::Shown,
        }
    }
}

impl fmt::Display for AtEdge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shown => f.write_str("the edge serves it"),
            Self::Other(address, leaf) => write!(
                f,
                "the edge at {address} serves {} by {}, until {}",
                leaf.fingerprint.short(),
                leaf.issuer,
                leaf.not_after
            ),
            Self::Faulty(address, fault) => {
                write!(f, "the edge at {address} serves it wrongly: {fault}")
            }
            Self::Unreached(why) => write!(f, "the edge cannot be reached ({why})"),
        }
    }
}

/// Asks until the edge shows what it must, or `until` is over: what was seen last. `look` is [`Edge::look`].
pub async fn wait(until: Instant, look: impl AsyncFn() -> AtEdge) -> AtEdge {
    let mut pause = FIRST_PAUSE;
    loop {
        let seen = look().await;
        if seen == AtEdge::Shown || Instant::now() + pause >= until {
            return seen;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn silence(nodes: &[Node]) -> String {
    let why = |node: &Node| {
        let why = node.shown.as_ref().err();
        format!("{}: {}", node.address, why.map_or("no answer", String::as_str))
    };
    nodes.iter().map(why).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::cell::Cell;

    use super::*;
    use crate::cert::testing::Make;

    fn chain(name: &str) -> Chain {
        Chain::of(Make::new(&[name]).cert().chain().to_vec()).unwrap()
    }

    fn node(last: u8, shown: Result<&Chain, &str>) -> Node {
        let address = SocketAddr::from(([127, 0, 0, last], 443));
        Node { address, shown: shown.cloned().map_err(str::to_owned) }
    }

    #[test]
    fn all_that_answer_must_show_it() {
        let (new, old) = (chain("cdn.example.com"), chain("cdn.example.com"));
        let domain = CdnDomain::read("cdn.example.com").unwrap();
        let judge = |nodes: &[Node], fault: Option<&str>| {
            let fault = |_: &Chain| fault.map(str::to_owned);
            let wanted = new.leaf().fingerprint;
            let (host, domain) = ("127.0.0.1", &domain);
            Edge { host, port: 443, domain, wanted, fault: &fault }.judge(nodes)
        };
        let check = |row: &str, nodes: &[Node], fault: Option<&str>, says: &str| {
            let told = judge(nodes, fault).to_string();
            assert!(told.contains(says), "{row}: {told}");
        };
        check("one", &[node(1, Ok(&new))], None, "the edge serves it");
        check("two", &[node(1, Ok(&new)), node(2, Ok(&new))], None, "the edge serves it");
        check(
            "one is away",
            &[node(1, Err("gone")), node(2, Ok(&new))],
            None,
            "the edge serves it",
        );
        let says = format!("at 127.0.0.2:443 serves {}", old.leaf().fingerprint.short());
        check("one is behind", &[node(1, Ok(&new)), node(2, Ok(&old))], None, &says);
        check("its chain", &[node(1, Ok(&new))], Some("is cut"), "127.0.0.1:443 serves it wrongly");
        check("another one's chain is of no account", &[node(2, Ok(&old))], Some("is cut"), &says);
        check(
            "none answers",
            &[node(1, Err("refused")), node(2, Err("silent"))],
            None,
            "cannot be reached (127.0.0.1:443: refused; 127.0.0.2:443: silent)",
        );
    }

    #[tokio::test(start_paused = true)]
    async fn asks_until_it_is_so_or_the_time_is_over() {
        let check = async |row: &str, shown_after: u64, want: AtEdge, seconds: u64| {
            let (begun, looks) = (Instant::now(), Cell::new(0));
            let look = async || {
                looks.set(looks.get() + 1);
                match begun.elapsed().as_secs() >= shown_after {
                    true => AtEdge::Shown,
                    false => AtEdge::Unreached("away".to_owned()),
                }
            };
            let seen = wait(begun + PATIENCE, look).await;
            assert_eq!(seen, want, "{row}");
            assert!(begun.elapsed().as_secs() <= seconds, "{row}: {:?}", begun.elapsed());
            assert!(looks.get() < 50, "{row}: asked {} times", looks.get());
        };
        let away = || AtEdge::Unreached("away".to_owned());
        check("at once", 0, AtEdge::Shown, 0).await;
        check("within a minute", 55, AtEdge::Shown, 60).await;
        check("late", 170, AtEdge::Shown, 175).await;
        check("too late", 190, away(), 180).await;
    }
}
