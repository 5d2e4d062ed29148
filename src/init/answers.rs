//! What a person answered, and the text that says it. What stands in a configuration stays as it is, comments too.

use std::fmt::Write as _;
use std::path::PathBuf;

use toml::de::DeTable;

use crate::config::CdnDomain;

/// What is to be said that the configuration does not say.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// The store's folder, where it is not the usual one.
    pub store: Option<PathBuf>,
    /// The AccessKey of `[aliyun.default]`.
    pub keys: Option<Keys>,
    /// `[acme]`.
    pub authority: Option<Authority>,
    /// `[dns.default]`.
    pub prove: Option<Prove>,
    /// Certificates to be issued.
    pub issues: Vec<Issue>,
    /// Entries of certificates that other clients have.
    pub adopted: Vec<String>,
}

/// Where the AccessKey is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// The id here, the secret in a file.
    Key {
        /// AccessKey ID.
        id: String,
        /// The file, as the configuration names it.
        secret_file: String,
    },
    /// A profile of the Aliyun CLI.
    Profile(String),
}

/// The CA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authority {
    /// Its short name or its directory's URL.
    pub directory: String,
    /// Mail address, or nothing.
    pub contact: String,
    /// Root of its HTTPS, where that is not public.
    pub ca_file: Option<String>,
}

/// How names are proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prove {
    /// Alibaba Cloud DNS, by the account of the CDN domains.
    Alidns,
    /// A program that puts the records.
    Program(String),
}

/// A certificate to be issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Its names.
    pub names: Vec<String>,
    /// Where it goes.
    pub goes: Goes,
}

/// Where a certificate goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goes {
    /// To these CDN domains.
    To(Vec<CdnDomain>),
    /// To every one that it covers.
    Discovered,
}

/// Which sections a configuration has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// It says anything at all.
    pub anything: bool,
    /// `[store]`
    pub store: bool,
    /// `[acme]`
    pub acme: bool,
    /// `[aliyun.default]`
    pub aliyun: bool,
    /// `[dns.default]`
    pub dns: bool,
}

impl Standing {
    /// Those of this text; what is no TOML has none.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let (table, _errors) = DeTable::parse_recoverable(text);
        let table = table.get_ref();
        let below = |name: &str| {
            let inner = table.get(name).and_then(|value| value.get_ref().as_table());
            inner.is_some_and(|inner| inner.contains_key("default"))
        };
        Self {
            anything: !table.is_empty(),
            store: table.contains_key("store"),
            acme: table.contains_key("acme"),
            aliyun: below("aliyun"),
            dns: below("dns"),
        }
    }
}

/// The configuration with what was answered: `before` as it stands, and the rest behind it.
#[must_use]
pub fn text(before: &str, answers: &Answers) -> String {
    let standing = Standing::of(before);
    let keys = answers.keys.as_ref().map(Keys::lines);
    let (mut text, keys) = match (&keys, standing.aliyun) {
        (Some(lines), true) => (below_header(before, "[aliyun.default]", lines), None),
        (_, _) => (before.to_owned(), keys),
    };
    if text.trim().is_empty() {
        HEAD.clone_into(&mut text);
    }
    let keys = keys.map(|lines| format!("[aliyun.default]\n{lines}"));
    let authority = answers.authority.as_ref().map(Authority::section);
    let store = answers.store.as_ref();
    let store = store.map(|path| format!("[store]\npath = {}\n", quoted(&path.to_string_lossy())));
    let prove = answers.prove.as_ref().map(Prove::section);
    let issues = answers.issues.iter().map(Issue::section);
    let sections = [store, keys, authority, prove].into_iter().flatten();
    for section in sections.chain(issues).chain(answers.adopted.iter().cloned()) {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push('\n');
        text += &section;
    }
    text
}

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _infallible = write!(quoted, "\\u{:04X}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Puts lines below the header of a section that stands. Where it is written in another way, they come last, and reading
/// the text tells what is wrong.
fn below_header(text: &str, header: &str, lines: &str) -> String {
    let is_it = |line: &str| line.split('#').next().unwrap_or_default().trim() == header;
    let mut out = String::with_capacity(text.len() + lines.len());
    let mut is_there = false;
    for line in text.split_inclusive('\n') {
        out += line;
        if !is_there && is_it(line) {
            is_there = true;
            if !line.ends_with('\n') {
                out.push('\n');
            }
            out += lines;
        }
    }
    if is_there { out } else { format!("{out}\n{header}\n{lines}") }
}

impl Keys {
    fn lines(&self) -> String {
        match self {
            Self::Key { id, secret_file } => format!(
                "access_key_id = {}\n# The secret alone, readable by its owner alone.\naccess_key_secret_file = {}\n",
                quoted(id),
                quoted(secret_file)
            ),
            Self::Profile(name) => format!("profile = {}\n", quoted(name)),
        }
    }
}

impl Authority {
    fn section(&self) -> String {
        let mut text = format!("[acme]\ndirectory = {}\n", quoted(&self.directory));
        if !self.contact.is_empty() {
            text += &format!("contact = [{}]\n", quoted(&self.contact));
        }
        text += "terms_agreed = true\n";
        if let Some(file) = &self.ca_file {
            text += &format!("ca_file = {}\n", quoted(file));
        }
        text
    }
}

impl Prove {
    fn section(&self) -> String {
        match self {
            Self::Alidns => {
                "[dns.default]\nprovider = \"alidns\"\naliyun = \"default\"\n".to_owned()
            }
            Self::Program(path) => {
                format!("[dns.default]\nprovider = \"exec\"\nprogram = {}\n", quoted(path))
            }
        }
    }
}

impl Issue {
    fn section(&self) -> String {
        let list = |texts: Vec<String>| format!("[{}]", texts.join(", "));
        let names = list(self.names.iter().map(|name| quoted(name)).collect());
        let goes = match &self.goes {
            Goes::Discovered => "discover = true".to_owned(),
            Goes::To(domains) => {
                let domains = domains.iter().map(|domain| quoted(&domain.written)).collect();
                format!("domains = {}", list(domains))
            }
        };
        format!("[[certificate]]\ndomains = {names}\n[[certificate.deploy]]\n{goes}\n")
    }
}

/// How a configuration begins that was none before.
const HEAD: &str = "\
# What certferry keeps in step: written by `certferry init`, and yours to change.
# All that can be said here, with comments: `certferry init | less`. Nothing in this file is a secret.
# After a change, `certferry plan` says what would be done, and why.
";
