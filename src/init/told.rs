//! What was found, for people, for machines, and as entries of a configuration.

use serde::Serialize;

use super::answers::quoted;
use super::{ACCOUNT, Adopted, Adoption, State};
use crate::cert::KeyKind;
use crate::report::{self, SCHEMA, minute};
use crate::told;

/// The answer of `init --json`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Document {
    /// Version of this document.
    pub schema: u32,
    /// All that was found can be adopted, or needs not be.
    pub ok: bool,
    /// What was found.
    pub found: Vec<DocumentFound>,
    /// The entries that the configuration lacks.
    pub entries: String,
    /// The configuration that they were added to; null: none was.
    pub written: Option<String>,
}

/// A certificate that was found.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DocumentFound {
    /// The client that has it.
    pub client: &'static str,
    /// Its name there.
    pub name: String,
    /// The lineage's name in the configuration.
    pub certificate: String,
    /// The folder, or the chain.
    pub source: String,
    /// The key, where it is not in the folder.
    pub source_key: Option<String>,
    /// `new`, `already`, `unfit`, `expired` or `nowhere`.
    pub state: &'static str,
    /// The names of the certificate.
    pub names: Vec<String>,
    /// When it ends.
    pub not_after: Option<String>,
    /// Who issued it.
    pub issuer: Option<String>,
    /// Kind of the key.
    pub key_type: Option<String>,
    /// Its client renews it, as far as that can be seen.
    pub renewed: bool,
    /// The CDN domains that it goes to; null: the account was not asked.
    pub domains: Option<Vec<String>>,
    /// Why it cannot be used.
    pub error: Option<String>,
    /// What to do about that.
    pub help: Option<String>,
}

impl Document {
    /// The document of these.
    #[must_use]
    pub fn new(adoptions: &[Adoption], entries: String, written: Option<String>) -> Self {
        let ok = !adoptions.iter().any(Adoption::is_unfit);
        let found = adoptions.iter().map(DocumentFound::of).collect();
        Self { schema: SCHEMA, ok, found, entries, written }
    }

    /// One JSON document, with a line end.
    #[must_use]
    pub fn json(&self) -> String {
        report::json(self)
    }
}

impl DocumentFound {
    fn of(one: &Adoption) -> Self {
        let held = one.found.held.as_ref().ok();
        let unfit = match &one.state {
            State::Unfit(why) => Some(told::split(why)),
            State::New | State::Already | State::Expired | State::Nowhere => None,
        };
        let (error, help) = unfit.unzip();
        let written = |target: &Adopted| target.domain.written.clone();
        Self {
            client: one.found.client,
            name: one.found.name.clone(),
            certificate: one.lineage.clone(),
            source: one.found.source.path.display().to_string(),
            source_key: one.found.source.key.as_ref().map(|key| key.display().to_string()),
            state: one.state.word(),
            names: held.map(|held| held.leaf.names.clone()).unwrap_or_default(),
            not_after: held.map(|held| held.leaf.not_after.to_string()),
            issuer: held.map(|held| held.leaf.issuer.clone()),
            key_type: held.map(|held| kind(&held.key)),
            renewed: one.found.is_renewed,
            domains: one.targets.as_ref().map(|all| all.iter().map(written).collect()),
            error,
            help,
        }
    }
}

impl State {
    fn word(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Already => "already",
            Self::Unfit(_) => "unfit",
            Self::Expired => "expired",
            Self::Nowhere => "nowhere",
        }
    }
}

impl Adoption {
    /// Does something stand in the way of adopting it?
    #[must_use]
    pub fn is_unfit(&self) -> bool {
        matches!(self.state, State::Unfit(_))
    }

    /// The lines of a deploy entry, each behind `before`.
    fn deploy(&self, before: &str, what: &str) -> Vec<String> {
        let account = format!("aliyun = {}", quoted(&self.account));
        let account = (self.account != ACCOUNT).then_some(account);
        let lines = ["[[certificate.deploy]]".to_owned(), what.to_owned()].into_iter();
        lines.chain(account).map(|line| format!("{before}{line}")).collect()
    }

    /// Is there something that people should look at before they rely on it?
    fn remark(&self) -> Option<String> {
        (!self.found.is_renewed && self.state == State::New).then(|| {
            format!(
                "{} does not renew it any more: it has no renewal file of it",
                self.found.client
            )
        })
    }
}

/// The certificates for people, a few lines each.
#[must_use]
pub fn list(adoptions: &[Adoption]) -> String {
    adoptions.iter().map(lines).collect()
}

fn lines(one: &Adoption) -> String {
    let source = one.found.source.path.display();
    let mut lines = vec![format!("{}: {source}", one.found.client)];
    if let Ok(held) = &one.found.held {
        let until = minute(held.leaf.not_after);
        lines.push(format!("{}; {}, until {until}", held.leaf.names.join(", "), kind(&held.key)));
    }
    let written = |target: &Adopted| target.domain.written.clone();
    let goes: Option<Vec<String>> =
        one.targets.as_ref().map(|all| all.iter().map(written).collect());
    lines.push(match (&one.state, goes) {
        (State::New, Some(goes)) => format!("for the CDN domains {}", goes.join(", ")),
        (State::New, None) => "for every CDN domain that it covers".to_owned(),
        (State::Already, _) => format!("the configuration has it, as {}", one.lineage),
        (State::Expired, _) => "left out: it has expired".to_owned(),
        (State::Nowhere, _) => {
            "left out: no CDN domain of the account that it covers is online and free".to_owned()
        }
        (State::Unfit(why), _) => format!("left out: {}", why.replace('\n', "\n  ")),
    });
    lines.extend(one.remark());
    for (target, (issuer, until)) in outlived(one) {
        let domain = &target.domain.written;
        lines.push(format!("left alone: {domain} serves one of {issuer} until {}", minute(*until)));
    }
    lines.join("\n  ") + "\n"
}

/// The entry of the configuration.
#[must_use]
pub fn entry(one: &Adoption, discover: bool) -> String {
    let mut lines = Vec::new();
    let held = one.found.held.as_ref().ok();
    let names = held.map(|held| held.leaf.names.join(", ")).unwrap_or_default();
    lines.push(format!("# {}: {}", one.found.client, on_one_line(&names)));
    lines.extend(one.remark().map(|remark| format!("# {remark}.")));
    lines.push("[[certificate]]".to_owned());
    let source = &one.found.source;
    if source.name() != Some(&one.lineage) {
        lines.push(format!("name = {}", quoted(&one.lineage)));
    }
    lines.push(format!("source = {}", quoted(&source.path.to_string_lossy())));
    let key = source.key.as_ref();
    lines.extend(key.map(|key| format!("source_key = {}", quoted(&key.to_string_lossy()))));
    match one.targets.as_ref().filter(|_| !discover) {
        None => lines.extend(one.deploy("", "discover = true")),
        Some(targets) => lines.extend(deploys(one, targets)),
    }
    lines.join("\n") + "\n"
}

fn deploys(one: &Adoption, targets: &[Adopted]) -> Vec<String> {
    let mine = targets.iter().filter(|target| target.outlives.is_none());
    let mine: Vec<String> = mine.map(|target| quoted(&target.domain.written)).collect();
    let mut lines = Vec::new();
    if !mine.is_empty() {
        lines.extend(one.deploy("", &format!("domains = [{}]", mine.join(", "))));
    }
    for (target, (issuer, until)) in outlived(one) {
        let issuer = on_one_line(issuer);
        lines.push(format!(
            "# It serves a certificate of {issuer} until {}, longer than this one lives. To have it replaced:",
            minute(*until)
        ));
        lines.extend(one.deploy("# ", &format!("domains = [{}]", quoted(&target.domain.written))));
    }
    lines
}

fn outlived(one: &Adoption) -> impl Iterator<Item = (&Adopted, &(String, jiff::Timestamp))> {
    let targets = one.targets.iter().flatten();
    targets.filter_map(|target| Some((target, target.outlives.as_ref()?)))
}

/// As the configuration writes it.
fn kind(key: &KeyKind) -> String {
    match key {
        KeyKind::Rsa(bits) => format!("rsa-{bits}"),
        KeyKind::EcdsaP256 => "ecdsa-p256".to_owned(),
        KeyKind::EcdsaP384 => "ecdsa-p384".to_owned(),
        KeyKind::Other(name) => name.clone(),
    }
}

/// Others chose these names: none ends the comment that it stands in.
fn on_one_line(text: &str) -> String {
    text.chars().map(|letter| if told::leads_astray(letter) { ' ' } else { letter }).collect()
}
