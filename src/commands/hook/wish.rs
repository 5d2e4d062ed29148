//! What a call of the hook means: by the flags, then the config, then an earlier call that named targets, then the
//! certificate's names.

use jiff::{SignedDuration, Timestamp};

use super::targets;
use crate::commands::claims::{self, source_of};
use crate::commands::{Refusal, account_of};
use crate::config::{Certificate, Config, Source};
use crate::hook::{Event, Names};
use crate::journal::Claim;
use crate::look;
use crate::plan::{Lineage, Origin};
use crate::run::Run;

/// What the hook was asked to do with one certificate.
pub(super) struct Wish {
    /// Told by the client; its source as the config spells it, if the config has it.
    pub(super) event: Event,
    /// What is left in the store; none where the config says all of it.
    pub(super) claim: Option<Claim>,
    /// The account of guessed targets.
    pub(super) aliyun: String,
    /// When the hook counts as called.
    at: Timestamp,
    /// Names of the certificate that cannot be CDN domains.
    pub(super) no_domains: Vec<String>,
}

/// What the flags say.
pub(super) struct Said<'a> {
    pub(super) domains: &'a [String],
    pub(super) discover: bool,
    pub(super) aliyun: Option<&'a str>,
}

/// What is wished for this certificate, where `stored` are the claims of earlier calls.
pub(super) fn wish(
    run: &Run,
    said: &Said<'_>,
    mut event: Event,
    stored: &[Claim],
    now: Timestamp,
) -> Result<Wish, Refusal> {
    let aliyun = account_of(&run.config, said.aliyun)?;
    event.source = source_of(&run.config, event.dialect.client(), &event.source);
    let configured = configured_lineage(&run.config, &event);
    if let Some(source) = configured.and_then(|certificate| certificate.source.clone()) {
        event.source = source;
    }
    // An entry of the config that says nothing of CDN domains leaves it to the flag.
    let says = |one: &Certificate| !said.discover || !one.deploy.is_empty();
    let is_known = configured.is_some_and(says) && said.domains.is_empty();
    let at = called_at(stored, now);
    let mut wish = Wish { event, claim: None, aliyun, at, no_domains: Vec::new() };
    if is_known {
        return Ok(wish);
    }
    let earlier = stored.iter().find(|old| wish.is_of(old)).cloned();
    let is_asked = said.discover || !said.domains.is_empty();
    let (targets, discovers) = match earlier.as_ref().filter(|old| !old.guessed) {
        Some(named) if !is_asked => (named.targets.clone(), named.discovers.clone()),
        _ if is_asked => {
            let discovers = said.discover.then(|| wish.aliyun.clone());
            (targets(said.domains, &wish.aliyun)?, discovers)
        }
        _ => {
            wish.guess_at_first(earlier);
            return Ok(wish);
        }
    };
    let new = wish.new_claim();
    wish.claim = Some(Claim { targets, discovers, guessed: false, ..new });
    Ok(wish)
}

impl Wish {
    pub(super) fn is_of(&self, claim: &Claim) -> bool {
        let own = (self.event.dialect.client(), &self.event.source.path);
        (claim.client.as_str(), &claim.source.path) == own
    }

    /// Is it this lineage?
    pub(super) fn is_for(&self, lineage: &Lineage) -> bool {
        match &lineage.origin {
            Origin::Source(source) | Origin::Claimed { source, .. } => {
                source.path == self.event.source.path
            }
            Origin::Issued(_) | Origin::Given => false,
        }
    }

    /// Before the files were read: the names that the client told, else what an earlier call left, else the one name
    /// that nearly every client calls a certificate by.
    fn guess_at_first(&mut self, earlier: Option<Claim>) {
        match (self.event.names.told(), earlier) {
            ([], Some(earlier)) => self.claim = Some(self.renewed(earlier)),
            ([], None) => {
                let only = match self.event.names {
                    Names::Told(_) => Vec::new(),
                    Names::InFiles => claims::guesses(&[&self.event.name], &self.aliyun).0,
                };
                self.claim = Some(Claim { targets: only, ..self.new_claim() });
            }
            ([_, ..], _) => self.guess(),
        }
    }

    /// The certificate's names stand for its targets.
    fn guess(&mut self) {
        let names: Vec<&String> = self.event.names.told().iter().collect();
        let (targets, no_domains) = claims::guesses(&names, &self.aliyun);
        self.no_domains = no_domains;
        self.claim = Some(Claim { targets, ..self.new_claim() });
    }

    /// Where nobody tells the names, the files do. Is the claim another one now?
    pub(super) async fn learn_names(&mut self) -> bool {
        let Some(claim) = self.claim.as_ref().filter(|claim| claim.guessed) else { return false };
        let is_told = match &self.event.names {
            Names::InFiles => false,
            Names::Told(names) => !names.is_empty() || !claim.targets.is_empty(),
        };
        if is_told {
            return false;
        }
        let Some(cert) = look::cert_of(&self.event.source).await else { return false };
        self.event.names = Names::Told(cert.leaf().names.clone());
        self.guess();
        true
    }

    /// An earlier call's claim, called again: its client may keep the key elsewhere now.
    fn renewed(&self, earlier: Claim) -> Claim {
        Claim { at: self.at, source: self.event.source.clone(), ..earlier }
    }

    fn new_claim(&self) -> Claim {
        Claim {
            client: self.event.dialect.client().to_owned(),
            source: self.event.source.clone(),
            name: self.event.name.clone(),
            names: self.event.names.told().to_vec(),
            targets: Vec::new(),
            guessed: true,
            discovers: None,
            at: self.at,
        }
    }
}

/// Later than all calls before it, also those that a clock noted which ran ahead: the latest call is the last one.
fn called_at(stored: &[Claim], now: Timestamp) -> Timestamp {
    let latest = stored.iter().map(|claim| claim.at).max();
    let after = latest.and_then(|at| at.checked_add(SignedDuration::from_nanos(1)).ok());
    after.map_or(now, |after| after.max(now))
}

/// The certificate of the config that is this lineage: by its path, else a `source` of the same name.
fn configured_lineage<'a>(config: &'a Config, event: &Event) -> Option<&'a Certificate> {
    let sources = || config.certificates.iter().filter(|certificate| certificate.source.is_some());
    let is_its = |source: &Source| source.path == event.source.path;
    sources()
        .find(|certificate| certificate.source.as_ref().is_some_and(is_its))
        .or_else(|| sources().find(|certificate| certificate.name == event.name))
}
