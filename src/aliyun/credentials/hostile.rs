//! Any bytes as what the sources of an AccessKey give: an answer, a program's output, a file.

use super::{document, ini, program};
use crate::hostile::assert_tame;
use crate::http::Answer;

/// An answer of STS, of the metadata service or of a credentials URI; and its body as a program's output and a file.
pub(crate) fn answer(answer: &Answer) {
    let said = document::judged(answer, "the credentials URI at example.test");
    let printed = program::printed(&answer.body, "/usr/bin/key");
    for error in [said.err(), printed.err()].into_iter().flatten() {
        assert_tame(&format!("{}{}{}", error.code, error.message, error.help));
    }
    let text = String::from_utf8_lossy(&answer.body);
    let _values = ini::section(&text, "default");
}
