//! Step one: the account, its AccessKey, and its CDN domains.

use std::path::PathBuf;

use secrecy::SecretString;
use tokio::time::Instant;

use super::super::super::doctor::PATIENCE;
use super::super::cloud;
use super::super::talk::{Choice, Silent, Usual};
use super::{ID, SECRET, Stopped, TOKEN, Typed, Wizard, wrong};
use crate::aliyun::{Error, Kind};
use crate::init::{ACCOUNT, Answers, Cdn, Keys};
use crate::run::Run;
use crate::told;

const WAYS: [&str; 3] = [
    "an AccessKey: its id and its secret",
    "a profile of the Aliyun CLI, or a section of ~/.alibabacloud/credentials",
    "later: then nothing of the account is checked now",
];

/// Where an AccessKey was found, and whose it is.
struct Known {
    source: String,
    whose: String,
}

/// Asks for an AccessKey until one is taken, if there is none.
pub(super) async fn ask(wizard: &mut Wizard) -> Result<(), Stopped> {
    wizard.talk.step("The account at Alibaba Cloud");
    loop {
        match check(wizard).await? {
            Ok(known) => {
                let source = match wizard.typed {
                    Some(_) => "as typed".to_owned(),
                    None => format!("from {}", known.source),
                };
                wizard.talk.tell(format!("AccessKey: {source}; {}", known.whose));
                return Ok(keep(wizard, &known).await?);
            }
            Err(error) => {
                // Where nothing was said, what to write into which file is no help: it is asked for here.
                let is_asked = error.code == "NoCredentials";
                let help = if is_asked { "" } else { &error.help };
                wizard.talk.tell(told::lines("no AccessKey", &error.message, help));
                // What was typed is asked for again; what the configuration says is for its writer to correct.
                wizard.typed = None;
                wizard.answers.keys = None;
            }
        }
        let account = wizard.config().map_err(wrong)?.aliyun.remove(ACCOUNT);
        if account.is_some_and(|account| account.keys.is_some() || account.profile.is_some()) {
            wizard.talk.tell("The configuration says where it is; correct that there.");
            return Ok(());
        }
        if choose(wizard).await? == Chosen::Later {
            return Ok(());
        }
    }
}

/// The account's CDN domains; none where they cannot be had, which is told.
pub(super) async fn cdn(wizard: &mut Wizard) -> Result<Option<Cdn>, Stopped> {
    let run = wizard.run().map_err(wrong)?;
    if !is_known(&run).await {
        return Ok(None);
    }
    wizard.talk.tell("asking for the account's CDN domains ...");
    match wizard.unless_stopped(cloud::ask(&run, ACCOUNT, &[])).await? {
        Ok(cdn) => Ok(Some(cdn)),
        Err(error) => {
            let what = format!("{} [{}]", told::split(&error.message).0, error.code);
            wizard.talk.tell(told::lines("the CDN domains cannot be listed", &what, &error.help));
            Ok(None)
        }
    }
}

async fn is_known(run: &Run) -> bool {
    let Ok(account) = run.account(ACCOUNT) else { return false };
    account.until(Some(Instant::now() + PATIENCE)).found().await.is_ok()
}

/// Is there an AccessKey, and does the cloud know it? That STS cannot be asked is no fault of the key.
async fn check(wizard: &Wizard) -> Result<Result<Known, Error>, Stopped> {
    let run = wizard.run().map_err(wrong)?;
    let known = async {
        let account = run.account(ACCOUNT)?.until(Some(Instant::now() + PATIENCE));
        let source = account.found().await?.source;
        let whose = match account.caller_identity().await {
            Ok(whose) => format!("{} of the account {}", whose.arn, whose.account_id),
            Err(error) if error.kind == Kind::Credentials => return Err(error),
            Err(error) => format!("whose it is cannot be told: {}", told::split(&error.message).0),
        };
        Ok(Known { source, whose })
    };
    Ok(wizard.unless_stopped(known).await?)
}

/// A timer has not the environment of the shell that this was called in.
async fn keep(wizard: &mut Wizard, known: &Known) -> Result<(), Silent> {
    let env = wizard.ground.env.clone();
    let (Some(id), Some(secret), None) = (env.var(ID), env.var(SECRET), env.var(TOKEN)) else {
        return Ok(());
    };
    if wizard.typed.is_some() || known.source != "environment" {
        return Ok(());
    }
    wizard.talk.tell("The timer will not have this shell's environment.");
    if wizard.talk.yes("Keep it in a file for the timer?", Usual::Yes).await? {
        typed(wizard, id.to_owned(), SecretString::from(secret));
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chosen {
    Said,
    Later,
}

async fn choose(wizard: &mut Wizard) -> Result<Chosen, Silent> {
    wizard.talk.tell("Where is it?");
    let Choice::Number(number) = wizard.talk.choice("Which", &WAYS, |_| false).await? else {
        return Ok(Chosen::Later);
    };
    match number {
        0 => {
            let id = wizard.talk.needed("AccessKey ID").await?;
            let secret = wizard.talk.secret("AccessKey secret").await?;
            typed(wizard, id, secret);
        }
        1 => {
            let name = wizard.talk.needed("Name of the profile").await?;
            let keys = Some(Keys::Profile(name));
            wizard.take(Answers { keys, ..wizard.answers.clone() });
        }
        _ => return Ok(Chosen::Later),
    }
    Ok(Chosen::Said)
}

/// Takes a key whose secret will be a file of its own beside the configuration.
fn typed(wizard: &mut Wizard, id: String, secret: SecretString) {
    let folder = wizard.file.parent().map(|folder| folder.join("secrets")).unwrap_or_default();
    let (name, file) = free(&folder);
    let keys = Some(Keys::Key { id: id.clone(), secret_file: format!("secrets/{name}") });
    if wizard.take(Answers { keys, ..wizard.answers.clone() }) {
        wizard.typed = Some(Typed { id, secret, file });
    }
}

/// A name that no file has: what is there is somebody's.
fn free(folder: &std::path::Path) -> (String, PathBuf) {
    let first = format!("aliyun-{ACCOUNT}");
    let numbered = (2..).map(|number| format!("aliyun-{ACCOUNT}-{number}"));
    let mut names = std::iter::once(first.clone()).chain(numbered);
    let name = names.find(|name| !folder.join(name).exists()).unwrap_or(first);
    let file = folder.join(&name);
    (name, file)
}
