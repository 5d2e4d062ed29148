//! The commands: each prepares lineages, walks the way with them, and says how it ended.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::cli::{Cli, Command, Global, Hook};
use crate::config::Config;
use crate::ground::{Env, Ground};
use crate::report::{self, ErrorEnd, Report};
use crate::run::{Run, default_store, read_at_most};
use crate::store::Store;
use crate::told;

mod account;
mod claims;
mod contest;
mod deploy;
mod discovery;
mod doctor;
mod forget;
mod hook;
mod init;
mod keeps_anything;
mod no_target;
mod pinned;
mod plan;
mod policy;
mod renew;
mod revoke;
mod rollback;
mod status;

/// Where the configuration is, unless somebody says otherwise.
const CONFIG: &str = "/etc/certferry/config.toml";

/// Ten thousand certificates with ten CDN domains each fit well.
const MOST_CONFIG: u64 = 64 * 1024 * 1024;

/// How a command ended: what to print, and the exit status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// For stdout.
    pub stdout: String,
    /// For stderr.
    pub stderr: String,
    /// Exit status.
    pub code: u8,
}

/// Why a command did not even begin.
#[derive(Debug)]
enum Refusal {
    /// The command line or the configuration is wrong: trying again is useless.
    Wrong(String),
    /// Something failed that may be well next time.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Runs a command.
pub async fn run(cli: Cli, ground: Ground) -> Ended {
    let Cli { global, command } = cli;
    let Some(command) = command else {
        return Ended::wrong("error: no command was given\n  help: `certferry --help` shows them; `certferry renew` is the timer's job\n".to_owned());
    };
    let ended = match &command {
        Command::Renew(flags) => renew::run(flags, &global, ground).await,
        Command::Plan(flags) => plan::run(flags, &global, ground).await,
        Command::Hook(flags) => hook::run(flags, &global, ground).await,
        Command::Deploy(flags) => deploy::run(flags, &global, ground).await,
        Command::Status(flags) => status::run(flags, &global, ground).await,
        Command::Rollback(flags) => rollback::run(flags, &global, ground).await,
        Command::Init(flags) => init::run(flags, &global, ground).await,
        Command::Doctor(flags) => doctor::run(flags, &global, ground).await,
        Command::Policy(flags) => policy::run(flags, &global, &ground),
        Command::Forget(flags) => forget::run(flags, &global, ground).await,
        Command::Revoke(flags) => revoke::run(flags, &global, ground).await,
        Command::Account(flags) => account::run(flags, &global, ground).await,
        Command::KeepsAnything => Ok(keeps_anything::run(&global, &ground)),
    };
    ended.unwrap_or_else(|refusal| Ended::refused(refusal, Form::from(command.json())))
}

impl Cli {
    /// Without a command and called by certbot, it is `hook`.
    #[must_use]
    pub fn or_hook(mut self, env: &Env) -> Self {
        if self.command.is_none() && env.var("RENEWED_LINEAGE").is_some() {
            self.command = Some(Command::Hook(Hook::default()));
        }
        self
    }
}

impl Ended {
    /// Something failed before there was anything to report.
    #[must_use]
    pub fn failed(stderr: String) -> Self {
        Self { stderr, code: 1, ..Self::default() }
    }

    fn wrong(stderr: String) -> Self {
        Self { stderr, code: 2, ..Self::default() }
    }

    /// A command line that cannot be read. Its words are all that tells whether a document is wanted.
    #[must_use]
    pub fn misread(stderr: String, mut words: impl Iterator<Item = OsString>) -> Self {
        Self::wrong(stderr).documented(Form::from(words.any(|word| word == "--json")))
    }

    /// A command that did not even begin.
    fn refused(refusal: Refusal, form: Form) -> Self {
        let ended = match refusal {
            Refusal::Wrong(text) => Self::wrong(text),
            Refusal::Failed(error) => Self::failed(told_error(&error)),
        };
        ended.documented(form)
    }

    /// With `--json` stdout is a document whatever happens.
    fn documented(self, form: Form) -> Self {
        let stdout = match form {
            Form::Text => String::new(),
            Form::Json => report::json(&Refused::of(&self)),
        };
        Self { stdout, ..self }
    }

    /// The end of a run with a report.
    fn of(report: &Report, global: &Global, json: Form) -> Self {
        let code = match (report.ok, report.changed) {
            (false, _) => 1,
            (true, true) if global.detailed_exit_code => 3,
            (true, _) => 0,
        };
        let stdout = match json {
            Form::Json => report.json(),
            Form::Text if global.quiet => String::new(),
            Form::Text => report.text(),
        };
        Self { stdout, stderr: report.errors(), code }
    }
}

/// The document of a command that did not begin: that of a report without ends.
#[derive(Debug, serde::Serialize)]
struct Refused {
    schema: u32,
    ok: bool,
    changed: bool,
    certificates: [(); 0],
    targets: [(); 0],
    error: ErrorEnd,
}

impl Refused {
    fn of(ended: &Ended) -> Self {
        let (message, help) = told::split(ended.stderr.trim_end());
        let message = message.strip_prefix("error: ").unwrap_or(&message).to_owned();
        let (code, retryable) = match ended.code {
            2 => ("Wrong", false),
            _ => ("Failed", true),
        };
        let error = ErrorEnd { code: code.to_owned(), message, help, request_id: None, retryable };
        let (schema, certificates, targets) = (report::SCHEMA, [], []);
        Self { schema, ok: false, changed: false, certificates, targets, error }
    }
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

impl From<bool> for Form {
    fn from(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// The configuration that the flags name. `None`: none was named, and the default file is not there.
fn configured(global: &Global, ground: &Ground) -> Result<Option<Config>, Refusal> {
    let Some((text, file)) = said(global, ground)? else { return Ok(None) };
    Config::read(&text, &file).map(Some).map_err(|errors| Refusal::Wrong(format!("{errors}\n")))
}

/// Its text, and the file. `None`: none was named, and the default file is not there.
fn said(global: &Global, ground: &Ground) -> Result<Option<(String, PathBuf)>, Refusal> {
    let named =
        global.config.clone().or_else(|| ground.env.var("CERTFERRY_CONFIG").map(PathBuf::from));
    let file = named.clone().unwrap_or_else(|| PathBuf::from(CONFIG));
    if named.is_none() && !file.exists() {
        return Ok(None);
    }
    let bytes = read_at_most(&file, MOST_CONFIG).map_err(|error| unreadable(&file, &error))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let file = std::path::absolute(&file).unwrap_or(file);
    Ok(Some((text, file)))
}

/// A run with what its config names.
fn open(config: Config, store: Option<Store>, ground: Ground) -> Result<Run, Refusal> {
    Run::new(config, store, ground).map_err(|error| Refusal::Wrong(told_error(&error)))
}

/// The account that a flag names, or the default one.
fn account_of(config: &Config, flag: Option<&str>) -> Result<String, Refusal> {
    let name = flag.unwrap_or("default");
    if config.aliyun.contains_key(name) {
        return Ok(name.to_owned());
    }
    let what = format!("the configuration has no [aliyun.{name}]");
    Err(Refusal::Wrong(told::lines("error", &what, "add it, or name another by --aliyun")))
}

/// The configuration, or what is meant without one.
fn configured_or_not(global: &Global, ground: &Ground) -> Result<Config, Refusal> {
    Ok(configured(global, ground)?.unwrap_or_else(|| Config::without_file(default_store(ground))))
}

fn unreadable(file: &Path, error: &anyhow::Error) -> Refusal {
    Refusal::Wrong(format!(
        "error: the configuration cannot be read: {}: {error}\n  help: name it by --config FILE or CERTFERRY_CONFIG; it holds no secret and may be read by all\n",
        file.display()
    ))
}

fn told_error(error: &anyhow::Error) -> String {
    let (what, help) = told::parts(error);
    told::lines("error", &what, &help)
}
