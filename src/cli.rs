//! The flags as typed. It gives them no meaning and opens nothing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keeps what Alibaba Cloud CDN serves equal to what it should serve
#[derive(Debug, Parser)]
#[command(name = "certferry", version, about, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    /// Flags of every command
    #[command(flatten)]
    pub global: Global,
    /// What to do
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Apart from a command's own flags: they are the same everywhere.
const GLOBAL: &str = "Options of every command";

const AFTER_HELP: &str = "\
Without a command and with RENEWED_LINEAGE set (by certbot's --deploy-hook), it is `hook`.

Exit status: 0 all is as it should be; 1 something failed, the next run tries again;
2 the command line or the configuration is wrong.";

const AFTER_HOOK: &str = "\
Which client has called it is seen by its environment (certbot, lego, acme.sh) or by its words after
`--`: those of dehydrated and acmetool as they are, those of acme.sh's deploy hooks, uacme and Caddy
with the client's name first. How to wire each stands in hooks/CLIENT/README.md.";

const AFTER_INIT: &str = "\
On a terminal and without a --from flag it asks, checks each answer, and at the end adds what is
new to the configuration: what stands there stays. An AccessKey secret is typed unseen and goes into
a file of its own. Ctrl-C leaves everything as it was.

Without a terminal it prints the commented example, or writes it to the FILE of --config.

With --from flags it lists what those clients have on stderr, and prints the [[certificate]] entries
that the configuration lacks; --write adds them to it. Where the account can be asked, each CDN
domain stands in the entry of the certificate that covers it; else the entry says `discover = true`.

Exit status: 0 all is well; 1 something is not, or nothing could be written; 2 the command line or
the configuration is wrong, or a file is in the way.";

const AFTER_DOCTOR: &str = "\
Nothing is ordered, uploaded, put or written, and no lock is taken. With -v, what is well is told
one by one; with -q, only what is not.

Exit status: 0 nothing is bad; 1 something is; 2 the configuration is wrong: then CA, cloud and DNS
are not asked.";

const AFTER_POLICY: &str = "\
Paste it into the RAM console as a custom policy, and attach that to the user or role of the keys.

What hooks have asked for is in it. Nobody is asked: which domain at Alibaba Cloud DNS holds a
name's record is not known, so without --zone each that may is listed (a.b.example.com,
b.example.com, example.com). Where _acme-challenge is a CNAME, name the zone it leads to.";

const AFTER_KEEPS_ANYTHING: &str = "\
For the condition of certferry.service and for cron: a machine on which nothing is configured yet is
passed over. A configuration that is wrong is not: `renew` runs and says what is wrong.";

/// Flags of every command.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// The configuration [env: CERTFERRY_CONFIG] [default: /etc/certferry/config.toml]
    #[arg(long, value_name = "FILE", global = true, help_heading = GLOBAL)]
    pub config: Option<PathBuf>,
    /// Say more; twice: still more
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = GLOBAL)]
    pub verbose: u8,
    /// Say only what failed
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = GLOBAL)]
    pub quiet: bool,
    /// Form of the log on stderr: text or json
    #[arg(
        long,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true
    )]
    #[arg(value_name = "FORM", global = true, help_heading = GLOBAL)]
    pub log_format: LogFormat,
    /// Exit with 3 where something was changed and all is well
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub detailed_exit_code: bool,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// The timer's job: look, plan, issue, deploy, verify, report
    Renew(Renew),
    /// What `renew` would do, and why; changes nothing
    Plan(Plan),
    /// The hook of another ACME client: certbot, lego, acme.sh, dehydrated...
    #[command(after_help = AFTER_HOOK)]
    Hook(Hook),
    /// Put one certificate onto CDN domains, once
    Deploy(Deploy),
    /// Every certificate and CDN domain: expiry, next renewal, in step or not
    Status(Status),
    /// An earlier certificate back onto its CDN domains, and hold it there for a while
    Rollback(Rollback),
    /// A first configuration: asks what it needs, or adopts what other ACME clients have
    #[command(after_help = AFTER_INIT)]
    Init(Init),
    /// Look for whatever would make a run fail; spends nothing
    #[command(after_help = AFTER_DOCTOR)]
    Doctor(Doctor),
    /// The smallest RAM policy for this configuration
    #[command(after_help = AFTER_POLICY)]
    Policy(Policy),
    /// Drop what a hook asked to keep in step
    Forget(Forget),
    /// Revoke a certificate that certferry has obtained; it is due at once
    Revoke(Revoke),
    /// The account at the CA: show it, change its contact or key, end it
    Account(Account),
    /// Is there anything to keep in step? By exit status: 0 yes, or it cannot be told; 1 no
    #[command(hide = true, after_help = AFTER_KEEPS_ANYTHING)]
    KeepsAnything,
}

/// `renew`.
#[derive(Args, Clone, Debug, Default)]
pub struct Renew {
    /// Only these certificates, as `status` names them
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Now, due or not, but for a CA's Retry-After; what others issue is uploaded again
    #[arg(long)]
    pub force: bool,
    /// The report as one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `plan`.
#[derive(Args, Clone, Debug, Default)]
pub struct Plan {
    /// Only these certificates, as `status` names them
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// The plan as one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `hook`.
#[derive(Args, Clone, Debug, Default)]
pub struct Hook {
    /// A CDN domain that must serve the certificate; again for more
    #[arg(long = "domain", value_name = "D")]
    pub domains: Vec<String>,
    /// Every CDN domain of the account that is online and that the certificate covers, and later new ones
    #[arg(long)]
    pub discover: bool,
    /// Name of the [aliyun.NAME] of the configuration
    #[arg(long, value_name = "NAME")]
    pub aliyun: Option<String>,
    /// A chain, leaf first, for a client that has no words of its own
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// What it is called [default: after its file]
    #[arg(long, value_name = "NAME", requires = "cert")]
    pub name: Option<String>,
    /// End within this many seconds; what is not done by then is left to `renew` [default: 100; 25 for Caddy, which waits for 30]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(2..=86400))]
    pub deadline: Option<u64>,
    /// The report as one JSON document on stdout
    #[arg(long)]
    pub json: bool,
    /// The client's own words
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<OsString>,
}

/// `deploy`.
#[derive(Args, Clone, Debug, Default)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["lineage", "cert"])))]
pub struct Deploy {
    /// A folder with fullchain.pem and privkey.pem
    #[arg(long, value_name = "DIR")]
    pub lineage: Option<PathBuf>,
    /// The chain, leaf first
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// A CDN domain that must serve it; again for more
    #[arg(long = "domain", value_name = "D", required = true)]
    pub domains: Vec<String>,
    /// Name of the [aliyun.NAME] of the configuration
    #[arg(long, value_name = "NAME")]
    pub aliyun: Option<String>,
    /// Also where another certificate is kept in step: hold it there until that one is renewed, or this one is due
    #[arg(long)]
    pub pin: bool,
    /// The report as one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `rollback`.
#[derive(Args, Clone, Debug)]
pub struct Rollback {
    /// The certificate, as `status` names it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The version with this number, not the one before; `latest` ends the pin
    #[arg(long, value_name = "VERSION", value_parser = To::read)]
    pub to: Option<To>,
    /// Only show the versions that there are
    #[arg(long, conflicts_with = "to")]
    pub list: bool,
    /// The answer as one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// A version of a certificate, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The newest.
    Latest,
    /// The one with this number.
    Version(u32),
}

/// `status`.
#[derive(Args, Clone, Debug, Default)]
pub struct Status {
    /// The answer as one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `init`.
#[derive(Args, Clone, Debug, Default)]
pub struct Init {
    /// Which clients' certificates to adopt
    #[command(flatten)]
    pub from: From,
    /// Add what is missing to the configuration, at its end
    #[arg(long, requires = "clients", conflicts_with = "force")]
    pub write: bool,
    /// Entries without names: every CDN domain that the certificate covers, and later new ones
    #[arg(long, requires = "clients")]
    pub discover: bool,
    /// Name of the [aliyun.NAME] whose CDN domains they are for
    #[arg(long, value_name = "NAME", requires = "clients")]
    pub aliyun: Option<String>,
    /// In place of a configuration that is there
    #[arg(long, conflicts_with = "clients")]
    pub force: bool,
    /// What clients have, as one JSON document on stdout; without a --from flag: all that are known
    #[arg(long)]
    pub json: bool,
}

/// The clients of `init`, each with the folder that is not its usual one.
#[derive(Args, Clone, Debug, Default)]
#[group(id = "clients", multiple = true)]
pub struct From {
    /// What certbot has [default: /etc/letsencrypt]
    #[arg(long, value_name = "DIR", require_equals = true)]
    pub from_certbot: Option<Option<PathBuf>>,
    /// What acme.sh has [default: ~/.acme.sh]
    #[arg(long, value_name = "DIR", require_equals = true)]
    pub from_acme_sh: Option<Option<PathBuf>>,
    /// What lego has: its --path [default: ~/.lego, /etc/lego]
    #[arg(long, value_name = "DIR", require_equals = true)]
    pub from_lego: Option<Option<PathBuf>>,
    /// What dehydrated has [default: /var/lib/dehydrated, /etc/dehydrated]
    #[arg(long, value_name = "DIR", require_equals = true)]
    pub from_dehydrated: Option<Option<PathBuf>>,
    /// What uacme has [default: /etc/ssl/uacme]
    #[arg(long, value_name = "DIR", require_equals = true)]
    pub from_uacme: Option<Option<PathBuf>>,
    /// What acmetool has [default: /var/lib/acme]
    #[arg(long, value_name = "DIR", require_equals = true)]
    pub from_acmetool: Option<Option<PathBuf>>,
    /// What Caddy has [default: /var/lib/caddy/.local/share/caddy]
    #[arg(long, value_name = "DIR", require_equals = true)]
    pub from_caddy: Option<Option<PathBuf>>,
}

/// `doctor`.
#[derive(Args, Clone, Debug, Default)]
pub struct Doctor {
    /// The checks as one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `policy`.
#[derive(Args, Clone, Debug, Default)]
pub struct Policy {
    /// Name of the [aliyun.NAME] it is for, if the configuration uses several
    #[arg(long, value_name = "NAME")]
    pub aliyun: Option<String>,
    /// A domain at Alibaba Cloud DNS that holds the records; again for more
    #[arg(long = "zone", value_name = "ZONE")]
    pub zones: Vec<String>,
}

/// `forget`.
#[derive(Args, Clone, Debug)]
pub struct Forget {
    /// The claim's certificate, as `status` names it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Only this CDN domain of it
    #[arg(long, value_name = "D")]
    pub domain: Option<String>,
}

/// `revoke`.
#[derive(Args, Clone, Debug)]
pub struct Revoke {
    /// The certificate, as `status` names it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Why
    #[arg(long, value_name = "R", value_enum)]
    pub reason: Option<Reason>,
}

/// Reasons that a subscriber may give (RFC 5280, 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reason {
    /// None in particular
    Unspecified,
    /// Somebody else may have the key
    #[value(alias = "keyCompromise")]
    KeyCompromise,
    /// The names belong to another organization now
    #[value(alias = "affiliationChanged")]
    AffiliationChanged,
    /// Another certificate has taken its place
    Superseded,
    /// The names are no longer in use
    #[value(alias = "cessationOfOperation")]
    CessationOfOperation,
}

/// `account`.
#[derive(Args, Clone, Debug)]
pub struct Account {
    /// What to do with it
    #[command(subcommand)]
    pub act: AccountAct,
    /// Name of the [acme.NAME] of the configuration
    #[arg(long, value_name = "NAME", global = true)]
    pub ca: Option<String>,
    /// The account as one JSON document on stdout
    #[arg(long, global = true)]
    pub json: bool,
}

/// What can be done with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum AccountAct {
    /// Its URL, state and contact, as the CA has them, and the records of dns-persist-01
    Show,
    /// Tell the CA the configuration's `contact`
    Update,
    /// Give it a new key; orders under way are waited for
    Rollover,
    /// End it for good; the next renewal registers a new one
    Deactivate,
}

impl To {
    fn read(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("latest", _) => Ok(Self::Latest),
            (_, Ok(number)) if number > 0 => Ok(Self::Version(number)),
            (_, _) => Err("it is a number that `--list` shows, or `latest`".to_owned()),
        }
    }
}

impl From {
    /// The clients that are asked for, by their names, and the folder that was said.
    pub fn clients(&self) -> impl Iterator<Item = (&'static str, Option<&Path>)> {
        let said = [
            ("certbot", &self.from_certbot),
            ("acme.sh", &self.from_acme_sh),
            ("lego", &self.from_lego),
            ("dehydrated", &self.from_dehydrated),
            ("uacme", &self.from_uacme),
            ("acmetool", &self.from_acmetool),
            ("Caddy", &self.from_caddy),
        ];
        said.into_iter().filter_map(|(client, said)| Some((client, said.as_ref()?.as_deref())))
    }
}

impl Command {
    /// Does stdout belong to one JSON document?
    #[must_use]
    pub fn json(&self) -> bool {
        match self {
            Self::Renew(flags) => flags.json,
            Self::Plan(flags) => flags.json,
            Self::Hook(flags) => flags.json,
            Self::Deploy(flags) => flags.json,
            Self::Status(flags) => flags.json,
            Self::Rollback(flags) => flags.json,
            Self::Account(flags) => flags.json,
            Self::Doctor(flags) => flags.json,
            Self::Init(flags) => flags.json,
            // A policy is a document by itself, and what it is refused for is none.
            Self::Policy(_) | Self::Forget(_) | Self::Revoke(_) | Self::KeepsAnything => false,
        }
    }
}
