//! A program as DNS access: `PROGRAM present NAME VALUE` and `PROGRAM cleanup NAME VALUE`, as lego's `exec` calls it.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use futures_util::future::{FutureExt as _, LocalBoxFuture, join3};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Dns, NotPut};
use crate::secret::{Redactor, VARIABLES};

/// The program. It inherits the environment but for our AccessKey, reads nothing, and is killed when nobody waits for it any more.
pub(super) struct Exec {
    program: PathBuf,
}

impl Exec {
    pub(super) fn new(program: PathBuf) -> Self {
        Self { program }
    }

    async fn run(&self, verb: &str, name: &str, value: &str) -> anyhow::Result<()> {
        let program = self.program.display();
        let fqdn = format!("{name}.");
        let mut command = Command::new(&self.program);
        for name in VARIABLES {
            command.env_remove(name);
        }
        let child = command
            .args([verb, &fqdn, value])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let child = child.map_err(|error| {
            NotPut::from(anyhow!(
                "{program} cannot be run: {error}\nhelp: `program` must be an executable file: chmod +x {program}"
            ))
        })?;
        let Ok(output) = timeout(LIMIT, output(child)).await else {
            bail!(
                "{program} {verb} did not end within {} s and was stopped\nhelp: run `{program} {verb} {fqdn} VALUE` by hand",
                LIMIT.as_secs()
            );
        };
        let output = output.with_context(|| format!("how {program} {verb} ended is not known"))?;
        if !output.status.success() {
            bail!(
                "{program} {verb} ended with {}: {}\nhelp: run `{program} {verb} {fqdn} VALUE` by hand",
                output.status,
                tail(&output)
            );
        }
        Ok(())
    }
}

impl Dns for Exec {
    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> LocalBoxFuture<'a, anyhow::Result<Option<String>>> {
        self.run("present", name, value).map(|done| done.map(|()| None)).boxed_local()
    }

    fn take_away<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
        _id: Option<&'a str>,
    ) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        self.run("cleanup", name, value).boxed_local()
    }
}

/// How it ends, and the end of what it says.
async fn output(mut child: Child) -> std::io::Result<Output> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = CancellationToken::new();
    let ending = async {
        let _cancels_when_dropped = ended.clone().drop_guard();
        child.wait().await
    };
    let (status, stdout, stderr) =
        join3(ending, last_of(stdout, &ended), last_of(stderr, &ended)).await;
    Ok(Output { status: status?, stdout, stderr })
}

/// The end of what comes by a pipe, until it is closed, or soon after the program has ended: children that it left in
/// the background may hold the pipe for ever.
async fn last_of(pipe: Option<impl AsyncRead + Unpin>, ended: &CancellationToken) -> Vec<u8> {
    let Some(mut pipe) = pipe else { return Vec::new() };
    let over = async {
        ended.cancelled().await;
        sleep(LAST_WORDS).await;
    };
    tokio::pin!(over);
    let (mut kept, mut part) = (Vec::new(), vec![0; PART]);
    loop {
        let length = tokio::select! {
            biased;
            () = &mut over => return kept,
            read = pipe.read(&mut part) => read.unwrap_or(0),
        };
        if length == 0 {
            return kept;
        }
        kept.extend_from_slice(&part[..length]);
        kept.drain(..kept.len().saturating_sub(KEPT));
    }
}

/// The end of what it said: programs say last what went wrong.
fn tail(output: &Output) -> String {
    let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(said);
    let text = text.trim();
    let start = text.char_indices().rev().nth(TAIL - 1).map_or(0, |(at, _)| at);
    Redactor::default().clean(text.get(start..).unwrap_or_default())
}

/// lego's hooks poll and sleep; what takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// Bytes of its output that are kept, whatever it says: far more than an error shows.
const KEPT: usize = 64 * 1024;

/// As much as a pipe gives at a time.
const PART: usize = 8 * 1024;

/// What the program has said before its end is in the pipe by then.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Characters of its output in an error: the last lines of a script.
const TAIL: usize = 400;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    async fn check(row: &str, script: &str, wanted: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        let log = folder.path().join("log");
        std::fs::write(&program, format!("#!/bin/sh\nlog='{}'\n{script}\n", log.display()))
            .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let exec = Exec::new(program);
        let name = "_acme-challenge.example.test";
        let put = exec.put(name, "VALUE").await;
        let done = match put {
            Ok(_no_id) => exec.take_away(name, "VALUE", None).await,
            Err(error) => Err(error),
        };
        match wanted {
            Ok(lines) => {
                done.unwrap();
                assert_eq!(std::fs::read_to_string(log).unwrap(), lines, "{row}");
            }
            Err(part) => {
                let text = done.unwrap_err().to_string();
                assert!(text.contains(part), "{row}: {text}");
                assert!(text.contains("help: "), "{row}: {text}");
            }
        }
    }

    #[tokio::test]
    async fn it_is_called_as_lego_calls_it() {
        let lines = "present _acme-challenge.example.test. VALUE\ncleanup _acme-challenge.example.test. VALUE\n";
        check("both verbs", "echo \"$@\" >> $log", Ok(lines)).await;
        check("stdin is empty", "cat && echo \"$@\" >> $log", Ok(lines)).await;
        check("its last words", "echo noise; echo 'no such zone' >&2; exit 3", Err("no such zone"))
            .await;
        check("its status", "exit 3", Err("exit status: 3")).await;
        check("only stdout", "echo sorry; exit 1", Err("sorry")).await;
        check("a long story", "yes x | head -n 2000; echo the end; exit 1", Err("the end")).await;
    }

    #[tokio::test]
    async fn what_it_leaves_in_the_background_is_not_waited_for() {
        let limit = Duration::from_secs(10);
        let left = check("a child", "sleep 20 & echo sorry; exit 1", Err("sorry"));
        timeout(limit, left).await.unwrap();
        let left = check("one that talks", "yes & echo sorry >&2; exit 1", Err("sorry"));
        timeout(limit, left).await.unwrap();
    }

    #[tokio::test]
    async fn of_endless_talk_the_end_is_kept() {
        let said = [vec![b'x'; 3 * KEPT], b"the end".to_vec()].concat();
        let kept = last_of(Some(said.as_slice()), &CancellationToken::new()).await;
        assert!(kept.len() == KEPT && kept.ends_with(b"the end"), "{}", kept.len());
    }

    #[tokio::test]
    async fn one_that_is_not_there_is_named() {
        let exec = Exec::new(PathBuf::from("/nonexistent/program"));
        let text = exec.put("n", "v").await.unwrap_err().to_string();
        assert!(text.contains("/nonexistent/program cannot be run"), "{text}");
    }
}
