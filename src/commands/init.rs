//! `init`: a first configuration: by questions, by what other clients have, or the commented example.

mod adopt;
mod cloud;
mod search;
mod talk;
mod wizard;

use std::path::{Path, PathBuf};

use super::{CONFIG, Ended, MOST_CONFIG, Refusal, unreadable};
use crate::cli::{Global, Init as Flags};
use crate::config::Config;
use crate::ground::Ground;
use crate::init::EXAMPLE;
use crate::run::read_at_most;
use crate::{store, told};

pub(super) async fn run(flags: &Flags, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    if flags.json || flags.from.clients().next().is_some() {
        return adopt::run(flags, global, ground).await;
    }
    if ground.ask.has_somebody() {
        return wizard::run(flags, global, ground).await;
    }
    example(flags, global)
}

/// Whoever cannot be asked gets all that can be said.
fn example(flags: &Flags, global: &Global) -> Result<Ended, Refusal> {
    let Some(file) = &global.config else {
        return Ok(Ended { stdout: EXAMPLE.to_owned(), ..Ended::default() });
    };
    let before = text_of(file)?;
    if before.is_some() && !flags.force {
        return Err(in_the_way(file));
    }
    store::write_config(file, before.as_deref(), EXAMPLE)?;
    let stdout = format!("{} is written: the commented example\n", file.display());
    Ok(Ended { stdout, ..Ended::default() })
}

fn in_the_way(file: &Path) -> Refusal {
    let what = format!("{} is there already", file.display());
    let help = "on a terminal `certferry init` adds to it what is missing; `certferry init --force` puts a new one in its place";
    Refusal::Wrong(told::lines("error", &what, help))
}

/// The configuration's place: as said, or the usual one.
fn place(global: &Global, ground: &Ground) -> PathBuf {
    let said = || ground.env.var("CERTFERRY_CONFIG").map(PathBuf::from);
    let file = global.config.clone().or_else(said).unwrap_or_else(|| PathBuf::from(CONFIG));
    std::path::absolute(&file).unwrap_or(file)
}

/// What a configuration says; none: there is no file.
fn text_of(file: &Path) -> Result<Option<String>, Refusal> {
    if !file.exists() {
        return Ok(None);
    }
    let bytes = read_at_most(file, MOST_CONFIG).map_err(|error| unreadable(file, &error))?;
    let text = String::from_utf8(bytes).map_err(|error| unreadable(file, &error.into()))?;
    Ok(Some(text))
}

/// What a text means.
fn meant(text: &str, file: &Path) -> Result<Config, Refusal> {
    Config::read(text, file).map_err(|errors| Refusal::Wrong(format!("{errors}\n")))
}
