//! How questions are asked: again until the answer can be used.

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::ground::{Ask, Wanted};

/// Nobody answers any more: the terminal is gone, or the word to stop came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silent;

/// A talk with the person at the terminal.
pub(super) struct Talk {
    ask: Ask,
}

/// What the Enter key alone means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usual {
    Yes,
    No,
}

impl Talk {
    pub(super) fn new(ask: &Ask) -> Self {
        Self { ask: ask.clone() }
    }

    /// Something to read.
    pub(super) fn tell(&self, text: impl AsRef<str>) {
        let text = text.as_ref().trim_end();
        if !text.is_empty() {
            self.ask.tell(&format!("{text}\n"));
        }
    }

    /// The head of a step.
    pub(super) fn step(&self, title: &str) {
        self.tell(format!("\n{title}"));
    }

    /// A line; Enter alone is `usual`.
    pub(super) async fn line(&self, question: &str, usual: &str) -> Result<String, Silent> {
        let hint = if usual.is_empty() { String::new() } else { format!(" [{usual}]") };
        let answer = self.answer(&format!("{question}{hint}: "), Wanted::Line).await?;
        let answer = answer.trim();
        Ok(if answer.is_empty() { usual } else { answer }.to_owned())
    }

    /// A line that is not empty.
    pub(super) async fn needed(&self, question: &str) -> Result<String, Silent> {
        loop {
            let answer = self.line(question, "").await?;
            if !answer.is_empty() {
                return Ok(answer);
            }
        }
    }

    /// A secret: it is not shown.
    pub(super) async fn secret(&self, question: &str) -> Result<SecretString, Silent> {
        loop {
            let asked = format!("{question} (not shown while you type): ");
            let answer = self.answer(&asked, Wanted::Secret).await?;
            if !answer.trim().is_empty() {
                return Ok(SecretString::from(answer.trim()));
            }
        }
    }

    pub(super) async fn yes(&self, question: &str, usual: Usual) -> Result<bool, Silent> {
        let hint = if usual == Usual::Yes { "Y/n" } else { "y/N" };
        loop {
            let answer = self.answer(&format!("{question} [{hint}]: "), Wanted::Line).await?;
            match answer.trim().to_ascii_lowercase().as_str() {
                "" => return Ok(usual == Usual::Yes),
                "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => self.tell("`y` or `n`"),
            }
        }
    }

    /// The number of one of these, from 0; the first is the usual one. Or other words, where they are `fit`.
    pub(super) async fn choice(
        &self,
        question: &str,
        among: &[&str],
        fit: impl Fn(&str) -> bool,
    ) -> Result<Choice, Silent> {
        self.tell(numbered(among));
        loop {
            let answer = self.line(question, "1").await?;
            match answer.parse::<usize>() {
                Ok(number) if (1..=among.len()).contains(&number) => {
                    return Ok(Choice::Number(number - 1));
                }
                Ok(_) | Err(_) if fit(&answer) => return Ok(Choice::Words(answer)),
                Ok(_) | Err(_) => self.tell(format!("a number from 1 to {}", among.len())),
            }
        }
    }

    async fn answer(&self, asked: &str, wanted: Wanted) -> Result<Zeroizing<String>, Silent> {
        let (ask, asked) = (self.ask.clone(), asked.to_owned());
        // A terminal is waited for where that holds up nothing else.
        let answer = tokio::task::spawn_blocking(move || ask.line(&asked, wanted)).await;
        answer.ok().flatten().ok_or(Silent)
    }
}

/// What was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Number(usize),
    Words(String),
}

/// Lines with numbers from 1.
pub(super) fn numbered<T: AsRef<str>>(lines: &[T]) -> String {
    let line = |(at, text): (usize, &T)| format!("  {}  {}\n", at + 1, text.as_ref());
    lines.iter().enumerate().map(line).collect()
}

/// The words of an answer: they stand apart by spaces or commas.
pub(super) fn words(answer: &str) -> Vec<&str> {
    answer.split([' ', ',', '\t']).filter(|word| !word.is_empty()).collect()
}
