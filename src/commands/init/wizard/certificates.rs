//! Steps two and three: what other clients have, and what is to be issued.

use std::collections::BTreeSet;

use super::super::adopt::entries;
use super::super::cloud;
use super::super::talk::{Silent, Talk, Usual, numbered, words};
use super::{Stopped, Wizard, authority, wrong};
use crate::config::{CdnDomain, dns_name};
use crate::init::{self, ACCOUNT, Adoption, Answers, Cdn, Found, Goes, Issue, State};
use crate::plan::{Listing, not_online};

/// So many CDN domains are shown to choose from; a person reads no more.
const MOST_SHOWN: usize = 40;

/// Offers what other clients have.
pub(super) async fn adopt(
    wizard: &mut Wizard,
    cdn: Option<&Cdn>,
    found: &[Found],
) -> Result<(), Stopped> {
    if found.is_empty() {
        return Ok(());
    }
    let config = wizard.config().map_err(wrong)?;
    let cdn = match cdn {
        Some(_) => {
            let run = wizard.run().map_err(wrong)?;
            wizard.unless_stopped(cloud::ask(&run, ACCOUNT, found)).await?.ok()
        }
        None => None,
    };
    let now = wizard.ground.clock.now();
    let adoptions = init::adopt(found.to_vec(), &config, ACCOUNT, cdn.as_ref(), now);
    wizard.talk.step("Certificates that other ACME clients renew");
    let is_new = |one: &&Adoption| one.state == State::New;
    let others: Vec<Adoption> =
        adoptions.iter().filter(|one| one.state != State::New).cloned().collect();
    let new: Vec<Adoption> = adoptions.iter().filter(is_new).cloned().collect();
    wizard.talk.tell(init::list(&others));
    if new.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = new
        .iter()
        .map(|one| init::list(std::slice::from_ref(one)).replace("\n", "\n   "))
        .collect();
    wizard.talk.tell(numbered(&lines));
    let chosen = chosen(&wizard.talk, new.len()).await?;
    let kept: Vec<Adoption> = chosen.into_iter().map(|at| new[at].clone()).collect();
    let adopted = entries(&kept, false);
    wizard.take(Answers { adopted, ..wizard.answers.clone() });
    Ok(())
}

/// Which of so many, from 0.
async fn chosen(talk: &Talk, number: usize) -> Result<BTreeSet<usize>, Silent> {
    loop {
        let question = "Which to keep in step at the CDN: numbers, `all` or `none`";
        let answer = talk.line(question, "all").await?;
        match answer.as_str() {
            "all" => return Ok((0..number).collect()),
            "none" => return Ok(BTreeSet::new()),
            _ => {}
        }
        match words(&answer).into_iter().map(|word| index(word, number)).collect() {
            Some(all) => return Ok(all),
            None => talk.tell(format!("numbers from 1 to {number}, `all` or `none`")),
        }
    }
}

/// Asks for certificates to be issued, and for what that needs.
pub(super) async fn issue(
    wizard: &mut Wizard,
    cdn: Option<&Cdn>,
    found: &[Found],
) -> Result<(), Stopped> {
    wizard.talk.step("Certificates for certferry to obtain and renew");
    let config = wizard.config().map_err(wrong)?;
    let listing = cdn.map(|cdn| &cdn.listing);
    let taken =
        listing.map(|listing| init::taken(&config, found, ACCOUNT, listing)).unwrap_or_default();
    let mut issues: Vec<Issue> = Vec::new();
    loop {
        let free = free(listing, &taken, &issues);
        match one(wizard, listing, &free).await? {
            Some(issue) => issues.push(issue),
            None => break,
        }
    }
    if issues.is_empty() {
        return Ok(());
    }
    let Some(answers) = authority::ask(wizard).await? else { return Ok(()) };
    wizard.take(Answers { issues, ..answers });
    Ok(())
}

/// The CDN domains that nothing is for yet.
fn free(
    listing: Option<&Listing>,
    taken: &BTreeSet<CdnDomain>,
    issues: &[Issue],
) -> Vec<CdnDomain> {
    let Some(listing) = listing else { return Vec::new() };
    let mut taken = taken.clone();
    for issue in issues {
        match &issue.goes {
            Goes::To(domains) => taken.extend(domains.iter().cloned()),
            Goes::Discovered => taken.extend(covered(listing, &issue.names)),
        }
    }
    let free = listing.all().filter(|listed| not_online(&listed.status).is_none());
    free.map(|listed| listed.domain.clone()).filter(|domain| !taken.contains(domain)).collect()
}

fn covered<'a>(
    listing: &'a Listing,
    names: &[String],
) -> impl Iterator<Item = CdnDomain> + use<'a> {
    listing.covered(names).into_iter().map(|(listed, _)| listed.domain.clone())
}

/// One certificate; none: that is all.
async fn one(
    wizard: &mut Wizard,
    listing: Option<&Listing>,
    free: &[CdnDomain],
) -> Result<Option<Issue>, Silent> {
    let talk = &wizard.talk;
    if !free.is_empty() {
        let shown: Vec<&str> =
            free.iter().take(MOST_SHOWN).map(|domain| domain.written.as_str()).collect();
        talk.tell("CDN domains without a certificate of ours:");
        talk.tell(numbered(&shown));
        if free.len() > MOST_SHOWN {
            talk.tell(format!("  and {} more: name them", free.len() - MOST_SHOWN));
        }
    }
    let names = loop {
        let question = "Names of one certificate, or numbers of the list (Enter: no more)";
        let answer = talk.line(question, "").await?;
        if answer.is_empty() {
            return Ok(None);
        }
        match names(&answer, free) {
            Ok(names) => break names,
            Err(why) => talk.tell(why),
        }
    };
    let covered = listing.into_iter().flat_map(|listing| covered(listing, &names));
    let covered: Vec<CdnDomain> = covered.filter(|domain| free.contains(domain)).collect();
    let goes = match covered.is_empty() {
        false => go_to(talk, covered).await?,
        true => Goes::To(typed_domains(talk, &names).await?),
    };
    Ok(Some(Issue { names, goes }))
}

async fn go_to(talk: &Talk, covered: Vec<CdnDomain>) -> Result<Goes, Silent> {
    let written: Vec<&str> = covered.iter().map(|domain| domain.written.as_str()).collect();
    talk.tell(format!("It goes to the CDN domains {}.", written.join(", ")));
    let question = "Also to others that it covers, as they come?";
    Ok(match talk.yes(question, Usual::No).await? {
        true => Goes::Discovered,
        false => Goes::To(covered),
    })
}

/// Where the account's list says nothing, people do.
async fn typed_domains(talk: &Talk, names: &[String]) -> Result<Vec<CdnDomain>, Silent> {
    loop {
        let answer = talk.line("CDN domains that serve it", &names.join(" ")).await?;
        let read = |word: &str| CdnDomain::read(word).map_err(|why| format!("`{word}` {why}"));
        match words(&answer).into_iter().map(read).collect() {
            Ok(domains) => return Ok(domains),
            Err(why) => talk.tell(why),
        }
    }
}

/// The names that an answer means.
fn names(answer: &str, free: &[CdnDomain]) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for word in words(answer) {
        let name = match (index(word, free.len()), word.parse::<usize>()) {
            (Some(at), _) => free[at].written.clone(),
            (None, Ok(_)) => return Err(format!("`{word}` is no number of the list")),
            (None, Err(_)) => dns_name(word).map_err(|why| format!("`{word}` {why}"))?,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The place from 0 that a number from 1 means.
fn index(word: &str, length: usize) -> Option<usize> {
    word.parse::<usize>().ok()?.checked_sub(1).filter(|at| *at < length)
}
