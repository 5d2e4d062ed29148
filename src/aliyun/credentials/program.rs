//! A program that prints an AccessKey (mode External of the Aliyun CLI): JSON on its stdout.

use std::borrow::Cow;
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::super::error::{Error, Kind};
use super::document::broken;
use super::{Credentials, Miss};
use crate::secret::{Redactor, VARIABLES};

/// The words of a command line, as a shell would part them; no shell is called.
pub(super) fn words(command: &str, said_by: &str) -> Result<Vec<String>, Miss> {
    let words = shlex::split(command).filter(|words| !words.is_empty());
    words.ok_or_else(|| {
        let what = format!("process_command of {said_by} is no command line");
        Miss::broken(&what, "close its quotes; it is no shell's, but a program and its arguments")
    })
}

/// Runs it. It inherits the environment but for our AccessKey, reads nothing, and is killed when nobody waits for it any more.
pub(super) async fn run(words: &[String]) -> Result<Credentials, Error> {
    let (program, args) = words.split_first().ok_or_else(|| broken("no program is named", HELP))?;
    let mut command = Command::new(program);
    for name in VARIABLES {
        command.env_remove(name);
    }
    let spawned = command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = spawned.map_err(|error| {
        broken(&format!("{program} (process_command) cannot be run: {error}"), HELP)
    })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut said, mut complained) = (Zeroizing::new(Vec::with_capacity(MOST)), Vec::new());
    let ended = timeout(LIMIT, async {
        let reading = async {
            tokio::join!(read(stdout, &mut said), read(stderr, &mut complained));
        };
        tokio::pin!(reading);
        tokio::select! {
            () = &mut reading => child.wait().await,
            status = child.wait() => {
                // Children that it left in the background may hold its pipes for ever.
                let _cut_short = timeout(LAST_WORDS, reading).await;
                status
            }
        }
    });
    let Ok(status) = ended.await else {
        let what = format!("{program} (process_command) did not end within {} s", LIMIT.as_secs());
        return Err(Error::new(Kind::Server, "ProcessTimeout", &what, HELP));
    };
    let status = status
        .map_err(|error| broken(&format!("how {program} ended is not known: {error}"), HELP))?;
    if !status.success() {
        let words = Redactor::default().clean(&String::from_utf8_lossy(&complained));
        let words: String = words.trim().chars().take(SHOWN).collect();
        let what = format!("{program} (process_command) ended with {status}: {words}");
        return Err(broken(what.trim_end_matches([':', ' ']), HELP));
    }
    printed(&said, program)
}

/// What it prints. Unknown fields are let be.
#[derive(Deserialize)]
struct Printed<'a> {
    #[serde(borrow, default)]
    mode: Cow<'a, str>,
    #[serde(borrow, default)]
    access_key_id: Cow<'a, str>,
    #[serde(borrow, default)]
    access_key_secret: Cow<'a, str>,
    #[serde(borrow, default)]
    sts_token: Cow<'a, str>,
    #[serde(borrow, default)]
    expiration: Cow<'a, str>,
}

pub(super) fn printed(said: &[u8], program: &str) -> Result<Credentials, Error> {
    let what = |what: &str| format!("what {program} (process_command) prints {what}");
    let Printed { mode, access_key_id, access_key_secret, sts_token, expiration } =
        serde_json::from_slice(said).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            broken(&what(&format!("is no such JSON (line {line}, column {column})")), FORM)
        })?;
    let is_sts = mode.eq_ignore_ascii_case("StsToken");
    if !is_sts && !mode.eq_ignore_ascii_case("AK") {
        let mode = Redactor::default().clean(&mode);
        return Err(broken(&what(&format!("has the mode `{mode}`")), FORM));
    }
    if access_key_id.is_empty() || access_key_secret.is_empty() || is_sts && sts_token.is_empty() {
        return Err(broken(&what("has no whole AccessKey"), FORM));
    }
    let expires: Option<Timestamp> = match expiration.as_ref() {
        "" => None,
        text => Some(text.parse().map_err(|_unshown| {
            broken(&what("has an expiration that is no time"), "print it as 2026-01-02T03:04:05Z")
        })?),
    };
    Ok(Credentials {
        id: access_key_id.into_owned(),
        secret: SecretString::from(access_key_secret.as_ref()),
        token: is_sts.then(|| SecretString::from(sts_token.as_ref())),
        expires,
    })
}

/// Reads to the end of a pipe, and keeps so much of it.
async fn read(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut part = Zeroizing::new(vec![0; PART]);
    while let Ok(length @ 1..) = pipe.read(&mut part).await {
        let room = MOST - kept.len();
        kept.extend_from_slice(part.get(..length.min(room)).unwrap_or_default());
    }
}

/// As the Aliyun CLI has it.
const LIMIT: Duration = Duration::from_secs(60);
/// What the program has said before its end is in the pipe by then.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// A key is a kilobyte or two.
const MOST: usize = 64 * 1024;
const PART: usize = 4096;
/// Characters of its complaint in an error.
const SHOWN: usize = 200;
const HELP: &str = "run the profile's process_command by hand";
const FORM: &str = "it must print {\"mode\": \"AK\" or \"StsToken\", \"access_key_id\": ..., \"access_key_secret\": ..., \"sts_token\": ..., \"expiration\": ...}";
