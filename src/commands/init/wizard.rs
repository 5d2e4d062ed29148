//! `init` on a terminal: a few questions, each answer checked live, and nothing written before the last of them.

mod account;
mod authority;
mod certificates;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::super::doctor::{PATIENCE, diagnose, marks};
use super::super::{Ended, Refusal};
use super::search::{self, Judge};
use super::talk::{Silent, Talk, Usual};
use super::{meant, place, text_of};
use crate::check::Roots;
use crate::cli::{Global, Init as Flags};
use crate::config::{Config, Errors};
use crate::doctor::{Check, Diagnosis, Shown, State};
use crate::ground::{Env, Ground};
use crate::init::{self, ACCOUNT, Answers, Standing};
use crate::run::{Run, default_store};
use crate::{look, store, told};

/// The variables by which a key that was typed reaches the checks: it is in no file yet.
const ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
const SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
const TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";

pub(super) async fn run(flags: &Flags, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let mut wizard = Wizard::begin(flags, global, ground)?;
    match wizard.ask().await {
        Ok(diagnosis) => wizard.end(diagnosis.ok).await,
        Err(Stopped::Silent) => Err(anyhow!("stopped; nothing was written").into()),
        Err(Stopped::Refused(refusal)) => Err(refusal),
    }
}

/// Why there is no configuration at the end.
enum Stopped {
    Silent,
    Refused(Refusal),
}

impl From<Silent> for Stopped {
    fn from(_silent: Silent) -> Self {
        Self::Silent
    }
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What is known so far.
struct Wizard {
    ground: Ground,
    talk: Talk,
    file: PathBuf,
    /// What the file says; none: there is no file.
    there: Option<String>,
    /// What of it stays.
    before: String,
    answers: Answers,
    /// The AccessKey that was typed, until it is in a file.
    typed: Option<Typed>,
}

/// An AccessKey that was typed.
struct Typed {
    id: String,
    secret: SecretString,
    file: PathBuf,
}

impl Wizard {
    fn begin(flags: &Flags, global: &Global, ground: Ground) -> Result<Self, Refusal> {
        let file = place(global, &ground);
        may_write(&file)?;
        let there = text_of(&file)?;
        let before = there.clone().filter(|_| !flags.force).unwrap_or_default();
        meant(&before, &file)?;
        let standing = Standing::of(&before);
        let usual = Config::without_file(default_store(&ground)).store.path;
        let store = Some(usual).filter(|_| look::caller() != 0 && !standing.store);
        let talk = Talk::new(&ground.ask);
        let answers = Answers { store, ..Answers::default() };
        let wizard = Self { ground, talk, file, there, before, answers, typed: None };
        wizard.welcome(standing);
        Ok(wizard)
    }

    fn welcome(&self, standing: Standing) {
        let file = self.file.display();
        let what = match (&self.there, standing.anything) {
            (None, _) => format!("This makes {file}."),
            (Some(_), true) => format!("What {file} says stays; what it lacks comes behind it."),
            (Some(_), false) if self.before.is_empty() => format!("This replaces {file}."),
            (Some(_), false) => {
                format!(
                    "{file} has comments alone: they stay, and what it lacks comes behind them."
                )
            }
        };
        self.talk.tell(format!(
            "{what} Nothing is written before the last question, and Ctrl-C\n\
             leaves everything as it is. The Enter key alone takes what stands in brackets."
        ));
    }

    /// All questions but the last.
    async fn ask(&mut self) -> Result<Diagnosis, Stopped> {
        account::ask(self).await?;
        let cdn = account::cdn(self).await?;
        // Trust that cannot be read is told by the checks at the end.
        let config = self.config().map_err(wrong)?;
        let roots = Run::new(config, None, self.live_ground()).map_or(Roots::Any, |run| run.roots);
        let judge = Judge { roots: &roots, now: self.ground.clock.now() };
        let (found, refused) = search::found(&search::every_home(&self.ground.env), judge);
        for why in refused {
            let (what, help) = told::split(&why);
            self.talk.tell(told::lines("warning", &what, &help));
        }
        certificates::adopt(self, cdn.as_ref(), &found).await?;
        certificates::issue(self, cdn.as_ref(), &found).await?;
        let config = self.config().map_err(wrong)?;
        self.talk.step("The checks of `certferry doctor`");
        self.talk.tell("asking CA, cloud and DNS ...");
        let ground = self.live_ground();
        let diagnosis = self.unless_stopped(diagnose(config, ground)).await?;
        let diagnosis = self.with_typed(diagnosis);
        let text = diagnosis.text(Shown::Usual, marks(&self.ground.env));
        self.talk.tell(text);
        Ok(diagnosis)
    }

    /// The last question; then it is written.
    async fn end(&mut self, is_well: bool) -> Result<Ended, Refusal> {
        let file = self.file.display().to_string();
        if self.there.as_ref().is_some_and(|there| *there == self.text()) {
            let stdout = format!("nothing to add to {file}\n");
            return Ok(Ended { stdout, code: u8::from(!is_well), ..Ended::default() });
        }
        let (question, usual) = match is_well {
            true => (format!("\nWrite {file}?"), Usual::Yes),
            false => (format!("\nNot all is well. Write {file} all the same?"), Usual::No),
        };
        match self.talk.yes(&question, usual).await {
            Ok(true) => {}
            Ok(false) => {
                let stdout = "nothing was written\n".to_owned();
                return Ok(Ended { stdout, ..Ended::default() });
            }
            Err(Silent) => return Err(anyhow!("stopped; nothing was written").into()),
        }
        self.write()?;
        let stdout = format!("{file} is written\n{NEXT}");
        Ok(Ended { stdout, code: u8::from(!is_well), ..Ended::default() })
    }

    /// The secret first: a configuration never names one that is not there.
    fn write(&self) -> anyhow::Result<()> {
        if let Some(typed) = &self.typed {
            store::write_secret(&typed.file, &typed.secret)?;
        }
        let written = store::write_config(&self.file, self.there.as_deref(), &self.text());
        if let (Err(_), Some(typed)) = (&written, &self.typed) {
            store::remove_secret(&typed.file)?;
        }
        written
    }

    fn standing(&self) -> Standing {
        Standing::of(&self.before)
    }

    fn text(&self) -> String {
        init::text(&self.before, &self.answers)
    }

    /// What is meant so far. An AccessKey that was typed is found in the environment.
    fn config(&self) -> Result<Config, Errors> {
        let mut config = Config::read(&self.text(), &self.file)?;
        if let Some(account) = config.aliyun.get_mut(ACCOUNT).filter(|_| self.typed.is_some()) {
            account.keys = None;
        }
        Ok(config)
    }

    /// Takes these answers if the text that they give can be read; else tells why not.
    fn take(&mut self, answers: Answers) -> bool {
        let before = std::mem::replace(&mut self.answers, answers);
        let Err(errors) = self.config() else { return true };
        self.answers = before;
        for error in errors.errors {
            self.talk.tell(told::lines("that cannot be", &error.what, &error.help));
        }
        false
    }

    fn live_ground(&self) -> Ground {
        let ground = self.ground.clone();
        Ground { env: self.live_env(), ..ground }
    }

    fn live_env(&self) -> Env {
        let Some(typed) = &self.typed else { return self.ground.env.clone() };
        let vars = [(ID, typed.id.as_str()), (SECRET, typed.secret.expose_secret()), (TOKEN, "")];
        self.ground.env.with(vars)
    }

    /// A run that only looks, for as long as a person waits.
    fn run(&self) -> Result<Run, Errors> {
        let mut run = Run::trusting_all(self.config()?, None, self.live_ground());
        run.only_looks();
        run.deadline = Some(Instant::now() + PATIENCE);
        Ok(run)
    }

    /// The checks saw the key in the environment; it will be in its file.
    fn with_typed(&self, diagnosis: Diagnosis) -> Diagnosis {
        let Some(typed) = &self.typed else { return diagnosis };
        let text = format!("as typed; it goes into {}", typed.file.display());
        let checks = diagnosis.checks.into_iter().map(|check| {
            match check.name == "credentials" && check.state == State::Good {
                true => Check::good("credentials", check.subject, text.as_str()),
                false => check,
            }
        });
        Diagnosis::new(checks.collect())
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Silent> {
        tokio::select! {
            biased;
            () = self.ground.stop.cancelled() => Err(Silent),
            done = work => Ok(done),
        }
    }
}

fn wrong(errors: Errors) -> Stopped {
    Stopped::Refused(Refusal::Wrong(format!("{errors}\n")))
}

/// Nobody answers questions in vain.
fn may_write(file: &Path) -> Result<(), Refusal> {
    let place = match file.exists() {
        true => Some(file),
        false => file.ancestors().skip(1).find(|folder| folder.exists()),
    };
    let may = place.map(|place| accessat(CWD, place, Access::WRITE_OK, AtFlags::EACCESS));
    if let Some(Err(error)) = may {
        let what = format!("{} cannot be written: {error}", file.display());
        let help = "sudo certferry init, or name another by --config FILE";
        return Err(anyhow!("{what}\nhelp: {help}").into());
    }
    Ok(())
}

const NEXT: &str = "\
next: `certferry plan` says what a run would do, `certferry renew` does it, and the timer keeps it so
";
