//! `init --from-CLIENT`: what other clients have, and the entries that the configuration lacks.

use std::path::Path;

use tokio::time::Instant;

use super::super::doctor::PATIENCE;
use super::super::{Ended, Refusal};
use super::search::{self, Home, Judge};
use super::{cloud, meant, place, text_of};
use crate::aliyun;
use crate::cli::{Global, Init as Flags};
use crate::ground::Ground;
use crate::init::{self, Adoption, Answers, Cdn, Document, Found, State};
use crate::run::Run;
use crate::{store, told};

pub(super) async fn run(flags: &Flags, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let file = place(global, &ground);
    let before = text_of(&file)?;
    let config = meant(before.as_deref().unwrap_or_default(), &file)?;
    let account = super::super::account_of(&config, flags.aliyun.as_deref())?;
    let homes = homes(flags, &ground)?;
    let now = ground.clock.now();
    let mut run = super::super::open(config.clone(), None, ground)?;
    let (found, refused) = search::found(&homes, Judge { roots: &run.roots, now });
    let cdn = ask(&mut run, &account, &found).await;
    let adoptions = init::adopt(found, &config, &account, cdn.as_ref().ok(), now);
    let entries = entries(&adoptions, flags.discover);
    let text = init::text(
        before.as_deref().unwrap_or_default(),
        &Answers { adopted: entries.clone(), ..Answers::default() },
    );
    // Nothing is written that would not be read.
    meant(&text, &file)?;
    let is_written = flags.write && !entries.is_empty();
    if is_written {
        store::write_config(&file, before.as_deref(), &text)?;
    }
    let all = Told {
        adoptions: &adoptions,
        entries: &entries,
        homes: &homes,
        refused: &refused,
        file: &file,
    };
    let is_well = refused.is_empty() && !adoptions.iter().any(Adoption::is_unfit);
    let code = match (!is_well, is_written) {
        (true, _) => 1,
        (false, true) if global.detailed_exit_code => 3,
        (false, _) => 0,
    };
    let written = is_written.then(|| file.display().to_string());
    if flags.json {
        let document = Document::new(&adoptions, entries.join("\n"), written);
        let stdout = Document { ok: is_well, ..document }.json();
        return Ok(Ended { stdout, stderr: all.refusals(), code });
    }
    let stdout = match &written {
        Some(file) => added(&entries, file),
        None => entries.join("\n"),
    };
    let stderr = if global.quiet { all.failures() } else { all.lines(flags, cdn.err().as_ref()) };
    Ok(Ended { stdout, stderr, code })
}

/// The entries of those that the configuration lacks.
pub(super) fn entries(adoptions: &[Adoption], discover: bool) -> Vec<String> {
    let new = adoptions.iter().filter(|one| one.state == State::New);
    new.map(|one| init::entry(one, discover)).collect()
}

/// The folders to look through. A client that was named must have one.
fn homes(flags: &Flags, ground: &Ground) -> Result<Vec<Home>, Refusal> {
    let mut all = Vec::new();
    for (client, said) in flags.from.clients() {
        let homes = search::homes(client, said, &ground.env);
        if homes.is_empty() {
            return Err(no_home(client, said));
        }
        all.extend(homes);
    }
    let has_named = flags.from.clients().next().is_some();
    Ok(if has_named { all } else { search::every_home(&ground.env) })
}

fn no_home(client: &str, said: Option<&Path>) -> Refusal {
    let flag = format!("--from-{}=DIR", client.to_ascii_lowercase().replace('.', "-"));
    let (what, help) = match said {
        Some(path) => (
            format!("there is no folder {}", path.display()),
            format!("name the folder of {client}: {flag}"),
        ),
        None => (format!("{client} has no folder in its usual places"), format!("name it: {flag}")),
    };
    Refusal::Wrong(told::lines("error", &what, &help))
}

/// What the account says of them, as long as a person waits.
async fn ask(run: &mut Run, account: &str, found: &[Found]) -> Result<Cdn, aliyun::Error> {
    run.only_looks();
    run.deadline = Some(Instant::now() + PATIENCE);
    cloud::ask(run, account, found).await
}

fn added(entries: &[String], file: &str) -> String {
    let number = entries.len();
    let what =
        if number == 1 { "1 certificate".to_owned() } else { format!("{number} certificates") };
    format!("{what} added to {file}; `certferry plan` says what a run would do now\n")
}

/// What people are told.
struct Told<'a> {
    adoptions: &'a [Adoption],
    entries: &'a [String],
    homes: &'a [Home],
    refused: &'a [String],
    file: &'a Path,
}

impl Told<'_> {
    fn refusals(&self) -> String {
        let line = |why: &String| {
            let (what, help) = told::split(why);
            told::lines("error", &what, &help)
        };
        self.refused.iter().map(line).collect()
    }

    fn failures(&self) -> String {
        let unfit: Vec<Adoption> =
            self.adoptions.iter().filter(|one| one.is_unfit()).cloned().collect();
        init::list(&unfit) + &self.refusals()
    }

    fn lines(&self, flags: &Flags, unasked: Option<&aliyun::Error>) -> String {
        let mut lines = init::list(self.adoptions) + &self.refusals();
        if self.adoptions.is_empty() && self.refused.is_empty() {
            for home in self.homes {
                lines += &format!("{}: nothing in {}\n", home.client(), home.path.display());
            }
        }
        if let Some(error) = unasked.filter(|_| !self.entries.is_empty()) {
            let why = error.message.replace('\n', "\n  ");
            lines += &format!(
                "the account's CDN domains were not asked for, so the entries say `discover = true`: {why}\n  help: {}\n",
                error.help
            );
        }
        let file = self.file.display();
        if self.entries.is_empty() {
            lines += &format!("nothing to add to {file}\n");
        } else if !flags.write {
            lines += &format!("{file} lacks what is printed; --write adds it at the end\n");
        }
        lines
    }
}
