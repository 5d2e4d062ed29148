//! A program as DNS access: `PROGRAM present NAME VALUE` and `PROGRAM cleanup NAME VALUE`, as lego's `exec` calls it.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{anyhow, bail};
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use tokio::process::Command;
use tokio::time::timeout;

use super::{Dns, NotPut};

/// The program. It inherits the environment, reads nothing, and is killed when nobody waits for it any more.
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
        let output = Command::new(&self.program)
            .args([verb, &fqdn, value])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let Ok(output) = timeout(LIMIT, output).await else {
            bail!(
                "{program} {verb} did not end within {} s and was stopped\nhelp: run `{program} {verb} {fqdn} VALUE` by hand",
                LIMIT.as_secs()
            );
        };
        let output = output.map_err(|error| {
            NotPut::from(anyhow!(
                "{program} cannot be run: {error}\nhelp: `program` must be an executable file: chmod +x {program}"
            ))
        })?;
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

/// The end of what it said: programs say last what went wrong.
fn tail(output: &Output) -> String {
    let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(said);
    let text = text.trim();
    let start = text.char_indices().rev().nth(TAIL - 1).map_or(0, |(at, _)| at);
    crate::secret::Redactor::default().clean(text.get(start..).unwrap_or_default())
}

/// lego's hooks poll and sleep; what takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(120);

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
    async fn one_that_is_not_there_is_named() {
        let exec = Exec::new(PathBuf::from("/nonexistent/program"));
        let text = exec.put("n", "v").await.unwrap_err().to_string();
        assert!(text.contains("/nonexistent/program cannot be run"), "{text}");
    }
}
