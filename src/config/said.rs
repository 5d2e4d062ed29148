//! What was said, with the places where: sections and values of a TOML file that report what is wrong with them.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::names::nearest;
use super::{Error, Errors};

/// A file under reading: collects what is wrong.
pub(super) struct Said<'a> {
    file: &'a Path,
    /// Offset at which each line begins.
    starts: Vec<usize>,
    /// Lines that are no TOML. Where there are some, what seems to be missing may only not have been understood.
    no_toml: Vec<usize>,
    /// From this line on nothing is sure: a list was not closed, and takes in what follows.
    doubtful: Option<usize>,
    errors: RefCell<Vec<Error>>,
}

/// Where something stands, and what it is called.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// `acme.directory`
    pub(super) name: String,
    pub(super) line: usize,
}

/// A table.
#[derive(Clone)]
pub(super) struct Section<'a> {
    pub(super) said: &'a Said<'a>,
    pub(super) place: Place,
    table: &'a DeTable<'a>,
}

/// A value of a table or an array.
#[derive(Clone)]
pub(super) struct Value<'a> {
    said: &'a Said<'a>,
    pub(super) place: Place,
    value: &'a DeValue<'a>,
}

impl<'a> Said<'a> {
    /// Nothing read yet, but for what is no TOML.
    pub(super) fn new(text: &str, file: &'a Path, no_toml: &[toml::de::Error]) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        let (no_lines, errors) = (Vec::new(), RefCell::default());
        let mut said = Self { file, starts, no_toml: no_lines, doubtful: None, errors };
        for error in no_toml {
            let line = said.line(error.span().map_or(0, |span| span.start));
            // The message alone: what toml shows of the text could be a secret.
            let message = error.message().replace('\n', ", ");
            let help = match message.contains("duplicate") {
                true => "take one of the two out",
                false => "write `[section]`, then lines `key = \"text\"`; texts stand in quotes",
            };
            said.note(line, format!("this is no TOML: {message}"), help);
            said.no_toml.push(line);
            if ["array", "inline table"].iter().any(|word| message.contains(word)) {
                said.doubtful.get_or_insert(line);
            }
        }
        said
    }

    /// The whole file.
    pub(super) fn whole(&'a self, table: &'a DeTable<'a>) -> Section<'a> {
        Section { said: self, place: Place { name: String::new(), line: 1 }, table }
    }

    /// Something that is there is wrong; `what` goes on after its name.
    pub(super) fn wrong(&self, place: &Place, what: impl AsRef<str>, help: impl Into<String>) {
        self.note(place.line, format!("`{}` {}", place.name, what.as_ref()), help);
    }

    /// Something is not there (which a text that is no TOML cannot tell).
    pub(super) fn missing(&self, place: &Place, what: impl AsRef<str>, help: impl Into<String>) {
        if self.no_toml.is_empty() {
            self.wrong(place, what, help);
        }
    }

    /// A path; a relative one starts at the file's folder.
    pub(super) fn path(&self, value: &Value<'_>) -> Option<PathBuf> {
        let written = self.path_as_written(value)?;
        Some(self.file.parent().unwrap_or_else(|| Path::new("")).join(written))
    }

    /// A path that its reader will resolve. `~` would mean a folder only to a shell, which never sees this file.
    pub(super) fn path_as_written(&self, value: &Value<'_>) -> Option<PathBuf> {
        let written = value.text()?;
        if written.starts_with('~') {
            self.wrong(&value.place, "begins with `~`", "write the whole path, from `/` on");
            return None;
        }
        Some(PathBuf::from(written))
    }

    /// The folder of the file, for commands to type.
    pub(super) fn folder(&self) -> PathBuf {
        match self.file.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            Some(_) | None => PathBuf::from("."),
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.errors.borrow().is_empty()
    }

    pub(super) fn into_errors(self) -> Errors {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|error| error.line);
        Errors { errors }
    }

    /// One thing is said of a line that is no TOML, and nothing of what may only follow from it.
    fn note(&self, line: usize, what: String, help: impl Into<String>) {
        if self.no_toml.contains(&line) || self.doubtful.is_some_and(|from| line >= from) {
            return;
        }
        let (file, line) = (self.file.to_owned(), Some(line));
        let error = Error { file, line, what, help: help.into() };
        let mut errors = self.errors.borrow_mut();
        if !errors.contains(&error) {
            errors.push(error);
        }
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }
}

impl<'a> Section<'a> {
    /// Reports keys that are none of these.
    pub(super) fn only(&self, known: &[&str]) {
        self.only_beside(&[], known);
    }

    /// Reports keys that are none of these, but for those that were judged before.
    pub(super) fn only_beside(&self, judged: &[&str], known: &[&str]) {
        let keys = self.table.keys().filter(|key| !judged.contains(&key.get_ref().as_ref()));
        for key in keys.filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let place = self.place_of(key.get_ref(), key.span().start);
            self.said.wrong(&place, "is not known", did_you_mean(key.get_ref(), known));
        }
    }

    /// The value of a key.
    pub(super) fn value(&self, key: &str) -> Option<Value<'a>> {
        let (name, value) = self.table.get_key_value(key)?;
        let place = self.place_of(key, name.span().start);
        Some(Value { said: self.said, place, value: value.get_ref() })
    }

    /// The value of a key without which nothing goes.
    pub(super) fn needed(&self, key: &str, example: &str) -> Option<Value<'a>> {
        let value = self.value(key);
        if value.is_none() {
            let place = Place { name: self.name_of(key), line: self.place.line };
            self.said.missing(&place, "is missing", format!("write `{key} = {example}`"));
        }
        value
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.value(key)?.text()
    }

    pub(super) fn owned(&self, key: &str) -> Option<String> {
        self.text(key).map(str::to_owned)
    }

    pub(super) fn truth(&self, key: &str) -> Option<bool> {
        self.value(key)?.truth()
    }

    /// A table of this one: `[acme]` of the file.
    pub(super) fn section(&self, key: &str) -> Option<Self> {
        self.value(key)?.section(&format!("[{}]", self.name_of(key)))
    }

    /// Named tables of this one: `[aliyun.NAME]`, each with its NAME.
    pub(super) fn named(&self, key: &str) -> Vec<(&'a str, Self)> {
        let Some(section) = self.section(key) else { return Vec::new() };
        let header = format!("[{key}.NAME]");
        let names = section.table.keys().map(|name| name.get_ref().as_ref());
        names
            .filter_map(|name: &str| Some((name, section.value(name)?.section(&header)?)))
            .collect()
    }

    /// Tables of this one under other names than these, each with its name.
    pub(super) fn tables_beside(&self, known: &[&str]) -> Vec<(&'a str, Self)> {
        let tables = self.table.iter().filter(|(_, value)| value.get_ref().is_table());
        let names = tables.map(|(name, _)| name.get_ref().as_ref());
        names
            .filter(|name| !known.contains(name))
            .filter_map(|name: &str| Some((name, self.section(name)?)))
            .collect()
    }

    /// An array of tables of this one: `[[certificate]]`.
    pub(super) fn sections(&self, key: &str) -> Vec<Self> {
        let name = self.name_of(key);
        let Some(value) = self.value(key) else { return Vec::new() };
        let DeValue::Array(array) = value.value else {
            let what = format!("must be an array of tables, not {}", value.kind());
            self.said.wrong(&value.place, what, format!("write `[[{name}]]`, in two brackets"));
            return Vec::new();
        };
        let each = array.iter().filter_map(|table| {
            let place = Place { name: name.clone(), line: self.said.line(table.span().start) };
            let table = Value { said: self.said, place, value: table.get_ref() };
            table.section(&format!("[[{name}]]"))
        });
        each.collect()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn name_of(&self, key: &str) -> String {
        if self.place.name.is_empty() {
            return key.to_owned();
        }
        format!("{}.{key}", self.place.name)
    }

    fn place_of(&self, key: &str, offset: usize) -> Place {
        Place { name: self.name_of(key), line: self.said.line(offset) }
    }
}

impl<'a> Value<'a> {
    /// It is wrong; `what` goes on after its name.
    pub(super) fn wrong(&self, what: impl AsRef<str>, help: impl Into<String>) {
        self.said.wrong(&self.place, what, help);
    }

    /// What it names is not there; `what` goes on after its name.
    pub(super) fn missing(&self, what: impl AsRef<str>, help: impl Into<String>) {
        self.said.missing(&self.place, what, help);
    }

    /// A text that is not empty.
    pub(super) fn text(&self) -> Option<&'a str> {
        let text = match self.value {
            DeValue::String(text) => Some(text.trim()),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => {
                self.not("a text", "put it in quotes");
                None
            }
        };
        if text == Some("") {
            self.wrong("is empty", "write its value, or take the line out");
            return None;
        }
        text
    }

    pub(super) fn truth(&self) -> Option<bool> {
        if let DeValue::Boolean(truth) = self.value {
            return Some(*truth);
        }
        self.not("true or false", "write `true` or `false`, without quotes");
        None
    }

    /// A whole number from 0 on.
    pub(super) fn count(&self) -> Option<usize> {
        let number = match self.value {
            DeValue::Integer(number) => usize::from_str_radix(number.as_str(), number.radix()).ok(),
            DeValue::String(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        if number.is_none() {
            self.wrong("is no whole number from 0 on", "write one, without quotes");
        }
        number
    }

    pub(super) fn number(&self) -> Option<f64> {
        let number = match self.value {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) => number.as_str().parse().ok(),
            DeValue::String(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        if number.is_none() {
            self.wrong("is no number", "write one, without quotes");
        }
        number
    }

    /// Texts, each with its place; at least one.
    pub(super) fn texts(&self) -> Option<Vec<(Self, &'a str)>> {
        let DeValue::Array(array) = self.value else {
            self.not("a list", "put it in brackets: `[\"one\", \"two\"]`");
            return None;
        };
        if array.is_empty() {
            self.wrong("is an empty list", "write what belongs in it, or take the line out");
            return None;
        }
        let values = array.iter().map(|value| {
            let line = self.said.line(value.span().start);
            let place = Place { name: self.place.name.clone(), line };
            Value { said: self.said, place, value: value.get_ref() }
        });
        Some(values.filter_map(|value| Some((value.clone(), value.text()?))).collect())
    }

    /// One of a few words.
    pub(super) fn one_of<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        let word = self.text()?;
        let found = choices.iter().find(|(choice, _)| *choice == word);
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
            self.wrong(format!("cannot be `{word}`"), did_you_mean(word, &words));
        }
        found.map(|(_, meant)| meant.clone())
    }

    /// It is true or false, as it should be.
    pub(super) fn is_truth(&self) -> bool {
        matches!(self.value, DeValue::Boolean(_))
    }

    /// A table; `header` is how one is written.
    pub(super) fn section(&self, header: &str) -> Option<Section<'a>> {
        let DeValue::Table(table) = self.value else {
            self.not("a section", format!("write `{header}` on a line of its own, then its keys"));
            return None;
        };
        Some(Section { said: self.said, place: self.place.clone(), table })
    }

    fn not(&self, kind: &str, help: impl Into<String>) {
        self.wrong(format!("must be {kind}, not {}", self.kind()), help);
    }

    fn kind(&self) -> &'static str {
        match self.value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "a truth value",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a section",
        }
    }
}

/// The remedy for a word that is none of the known ones.
pub(super) fn did_you_mean(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(known) => format!("did you mean `{known}`?"),
        None if known.is_empty() => "take it out".to_owned(),
        None => format!("known are: {}", known.join(", ")),
    }
}
