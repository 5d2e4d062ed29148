//! What lies beside the binary in a package, made from the program itself: man pages, completions, licences.
//!
//! `cargo run --example papers -- TARGET FOLDER`, as packaging/build-deb calls it. TARGET is the platform that the
//! binary is built for: what is linked in differs.
#![allow(clippy::disallowed_methods, reason = "it writes files, and is no part of the program")]

mod licences;
mod pages;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use certferry::cli::Cli;
use clap::CommandFactory;
use clap_complete::{Shell, generate_to};

/// What completions are for, and where they stand in the folder.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [target, folder] = &args[..] else { bail!("usage: papers TARGET FOLDER") };
    let folder = Path::new(folder);
    pages::write(Cli::command(), &emptied(&folder.join("man"))?)?;
    let completions = emptied(&folder.join("completions"))?;
    for shell in SHELLS {
        generate_to(shell, &mut shown(Cli::command()), "certferry", &completions)?;
    }
    let licences = licences::of_what_is_linked_in(target)?;
    fs::write(folder.join("third-party"), licences).context("the licences cannot be written")
}

/// A folder with nothing of an earlier version in it.
fn emptied(folder: &Path) -> Result<std::path::PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    Ok(folder.to_owned())
}

/// The commands that help shows. Completions would offer the others too.
fn shown(command: clap::Command) -> clap::Command {
    let subcommands: Vec<clap::Command> =
        command.get_subcommands().filter(|one| !one.is_hide_set()).cloned().collect();
    let bare = clap::Command::new("certferry").args(command.get_arguments().cloned());
    subcommands.into_iter().fold(bare, clap::Command::subcommand)
}
