//! The small acts of a run at the edge: where it is, an upload proved there, and an eye on what is in step.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use jiff::Timestamp;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::Run;
use super::target::OutOfStep;
use crate::aliyun::{self, UserDomain};
use crate::cert::{Chain, Fingerprint, Leaf};
use crate::check;
use crate::config::EdgeAt;
use crate::journal::TargetMemory;
use crate::plan::{LAG, Owned, Proof, TargetOutcome, TargetSeen};
use crate::report::{Meanwhile, TargetEnd};
use crate::verify::edge::{AtEdge, Edge, PATIENCE, wait};

/// HTTPS (RFC 9110, 4.2.2): a CNAME is asked there.
const HTTPS: u16 = 443;

/// Looks side by side, each with a socket for every address: under 300 of the 1024 descriptors that a process may have.
const LOOKS_SIDE_BY_SIDE: usize = 32;

/// What a run knows of edges.
pub(super) struct Edges {
    gate: Semaphore,
    /// By account; each is asked once a run.
    cnames: RefCell<BTreeMap<String, Rc<OnceCell<Cnames>>>>,
}

/// By DomainName; or why they are not known.
type Cnames = Result<BTreeMap<String, String>, aliyun::Error>;

impl Default for Edges {
    fn default() -> Self {
        Self { gate: Semaphore::new(LOOKS_SIDE_BY_SIDE), cnames: RefCell::default() }
    }
}

impl Run {
    /// Proves an upload at the edge, for `end` as far as it was proved.
    pub(super) async fn prove_at_edge(
        &self,
        at: &EdgeAt,
        owned: &Owned,
        out: &OutOfStep,
        mut end: TargetEnd,
    ) -> TargetEnd {
        let leaf = out.cert.leaf();
        let patience = Instant::now() + PATIENCE;
        let until = self.deadline.map_or(patience, |deadline| patience.min(deadline));
        let stopped = || AtEdge::Unreached("stopped".to_owned());
        let seen = tokio::select! {
            biased;
            () = self.ground.stop.cancelled() => stopped(),
            seen = self.wait_for_edge(at, owned, leaf.fingerprint, until) => seen,
        };
        if seen == AtEdge::Shown {
            self.remember_edge(owned, leaf.fingerprint).await;
            end.outcome = TargetOutcome::Deployed;
            end.proof = Some(Proof::Edge);
            end.reason.clone_from(&out.reason);
            return end;
        }
        not_at_edge(&mut end, &seen, leaf);
        end.reason.push_str("; the next run looks again");
        end
    }

    /// Looks once at the edge of a target that is in step by all else. Nothing is uploaded because of what it shows:
    /// the cloud has the certificate already.
    pub(super) async fn watch_edge(
        &self,
        at: &EdgeAt,
        owned: &Owned,
        seen: &TargetSeen,
        leaf: &Leaf,
        mut end: TargetEnd,
    ) -> TargetEnd {
        let edge = match self.place(at, owned).await {
            Ok((host, port)) => self.look_at_edge(&host, port, owned, leaf.fingerprint).await,
            Err(why) => AtEdge::Unreached(why),
        };
        let was_there = seen.memory.at_edge == Some(leaf.fingerprint);
        match &edge {
            AtEdge::Shown => {
                if !was_there || seen.memory.last_error.is_some() {
                    self.remember_edge(owned, leaf.fingerprint).await;
                }
                end.outcome = TargetOutcome::Unchanged;
                end.proof = Some(Proof::Edge);
                end.reason = "it serves this certificate".to_owned();
            }
            // It was there, and nobody says that it has gone.
            AtEdge::Unreached(_) if was_there => {
                if seen.memory.last_error.is_some() {
                    self.remember_edge(owned, leaf.fingerprint).await;
                }
                end.reason = format!("{}; {edge}", end.reason);
            }
            AtEdge::Other(..) | AtEdge::Faulty(..) | AtEdge::Unreached(_) => {
                not_at_edge(&mut end, &edge, leaf);
                if !is_fresh(&seen.memory, leaf.fingerprint, self.ground.clock.now()) {
                    self.tell_behind(owned, seen, &edge).await;
                }
            }
        }
        end
    }

    async fn wait_for_edge(
        &self,
        at: &EdgeAt,
        owned: &Owned,
        wanted: Fingerprint,
        until: Instant,
    ) -> AtEdge {
        match self.place(at, owned).await {
            Ok((host, port)) => {
                wait(until, async || self.look_at_edge(&host, port, owned, wanted).await).await
            }
            Err(why) => AtEdge::Unreached(why),
        }
    }

    async fn look_at_edge(
        &self,
        host: &str,
        port: u16,
        owned: &Owned,
        wanted: Fingerprint,
    ) -> AtEdge {
        let domain = &owned.target.domain;
        let fault = |chain: &Chain| {
            let faults = check::served(chain, domain, &self.roots, self.ground.clock.now());
            faults.first().map(ToString::to_string)
        };
        let _gate = self.edges.gate.acquire().await;
        Edge { host, port, domain, wanted, fault: &fault }.look().await
    }

    /// Host and port of a target's edge.
    async fn place(&self, at: &EdgeAt, owned: &Owned) -> Result<(String, u16), String> {
        if let EdgeAt::Host(host, port) = at {
            return Ok((host.clone(), *port));
        }
        let name = &owned.target.aliyun;
        let once = Rc::clone(self.edges.cnames.borrow_mut().entry(name.clone()).or_default());
        let cnames = once.get_or_init(|| self.cnames(name)).await;
        let known =
            cnames.as_ref().map_err(|error| format!("its CNAME is not known: {}", error.code))?;
        let cname = known.get(&owned.target.domain.api_name);
        let cname = cname.ok_or("the cloud tells no CNAME of it")?;
        Ok((cname.clone(), HTTPS))
    }

    async fn cnames(&self, name: &str) -> Cnames {
        let domains = self.cdn_domains(name).await.inspect_err(|error| {
            self.warn(format!(
                "account `{name}`: the edges of its CDN domains cannot be found, for their list may not be had: {}\n\
                 help: {}; or name the edge: `edge = \"HOST:PORT\"` beside `verify = \"edge\"`",
                error.message, error.help
            ));
        })?;
        let cname =
            |domain: &UserDomain| Some((domain.name.to_ascii_lowercase(), domain.cname.clone()?));
        Ok(domains.iter().filter_map(cname).collect())
    }

    /// The edge is behind for longer than any that is only late: people shall know, though nothing can be uploaded.
    async fn tell_behind(&self, owned: &Owned, seen: &TargetSeen, edge: &AtEdge) {
        let written = &owned.target.domain.written;
        let help = match edge {
            AtEdge::Unreached(_) => {
                "let this machine reach it by TCP, name another address by `edge`, or write `verify = \"readback\"`"
            }
            AtEdge::Other(..) | AtEdge::Faulty(..) | AtEdge::Shown => {
                "see what stands before the CDN for this domain (another CDN, a firewall); else ask the cloud's support"
            }
        };
        self.warn(format!("{written}: the cloud has its certificate, but {edge}\nhelp: {help}"));
        let told = edge.to_string();
        if seen.memory.last_error.as_ref() == Some(&told) {
            return;
        }
        let target = owned.target.clone();
        self.keep(move |store| {
            store.update_target(&target, |memory| memory.last_error = Some(told))
        })
        .await;
    }

    async fn remember_edge(&self, owned: &Owned, leaf: Fingerprint) {
        let target = owned.target.clone();
        self.keep(move |store| {
            store.update_target(&target, |memory| {
                memory.at_edge = Some(leaf);
                memory.last_error = None;
            })
        })
        .await;
    }
}

/// The end of a target whose edge does not show `leaf`; what clients get until then decides whether that is well.
fn not_at_edge(end: &mut TargetEnd, edge: &AtEdge, leaf: &Leaf) {
    end.meanwhile = match edge {
        AtEdge::Other(_, served) => Meanwhile::of(served),
        AtEdge::Faulty(..) => Meanwhile::Nothing,
        AtEdge::Unreached(_) if end.outcome == TargetOutcome::Waiting => end.meanwhile,
        AtEdge::Unreached(_) | AtEdge::Shown => Meanwhile::of(leaf),
    };
    let so_far = match end.proof {
        Some(Proof::Readback) => "read back",
        Some(Proof::Accepted | Proof::Edge) | None => "accepted",
    };
    end.outcome = TargetOutcome::Waiting;
    end.reason = format!("{so_far}, but not shown at the edge: {edge}");
}

/// It was uploaded so lately that an edge may be behind.
fn is_fresh(memory: &TargetMemory, wanted: Fingerprint, now: Timestamp) -> bool {
    let taken = memory.taken.as_ref().filter(|taken| taken.fingerprint == wanted);
    let until = taken.and_then(|taken| taken.at.checked_add(LAG).ok());
    until.is_some_and(|until| until > now)
}
