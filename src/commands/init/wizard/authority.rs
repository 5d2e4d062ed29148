//! What issuing needs: the CA, its terms, and who puts the records.

use super::super::super::doctor::patient;
use super::super::talk::{Choice, Silent, Usual};
use super::{Stopped, Wizard, wrong};
use crate::config::Acme;
use crate::init::{Answers, Authority, Prove};
use crate::issue::{self, Introduction};
use crate::run::Run;
use crate::told;

const CAS: [(&str, &str); 2] = [
    ("letsencrypt", "letsencrypt: Let's Encrypt"),
    (
        "letsencrypt-staging",
        "letsencrypt-staging: to try things out; nothing that it issues goes live (see [trust])",
    ),
];

const PROVERS: [&str; 2] =
    ["Alibaba Cloud DNS, in the same account", "a program of mine that puts the records (exec)"];

/// The answers with CA and DNS; none: the terms are not agreed to, so nothing is issued.
pub(super) async fn ask(wizard: &mut Wizard) -> Result<Option<Answers>, Stopped> {
    let mut answers = wizard.answers.clone();
    if !wizard.standing().acme {
        let Some(authority) = authority(wizard).await? else {
            wizard.talk.tell("Then nothing is issued.");
            return Ok(None);
        };
        answers.authority = Some(authority);
    }
    if !wizard.standing().dns {
        answers.prove = Some(prove(wizard).await?);
    }
    Ok(Some(answers))
}

async fn authority(wizard: &mut Wizard) -> Result<Option<Authority>, Stopped> {
    loop {
        let directory = directory(wizard).await?;
        let mut said = Authority { directory, ..Authority::default() };
        let is_url = said.directory.contains("://");
        let mut met = meet(wizard, &said).await?;
        if let (Err(error), true) = (&met, is_url) {
            tell(wizard, error);
            let question = "A PEM file with the root of its HTTPS (Enter: there is none)";
            let file = wizard.talk.line(question, "").await?;
            said.ca_file = Some(file).filter(|file| !file.is_empty());
            met = meet(wizard, &said).await?;
        }
        let introduction = match met {
            Ok(introduction) => introduction,
            Err(error) => {
                tell(wizard, &error);
                if wizard.talk.yes("Take it all the same?", Usual::No).await? {
                    Introduction::default()
                } else {
                    continue;
                }
            }
        };
        if introduction.binding_required {
            wizard.talk.tell("It takes only accounts that are bound to one on its website: write [acme] with `eab`\nyourself (`certferry init | less` shows how); init then goes on from there.");
            continue;
        }
        return agreed(wizard, said, &introduction).await;
    }
}

async fn agreed(
    wizard: &mut Wizard,
    said: Authority,
    introduction: &Introduction,
) -> Result<Option<Authority>, Stopped> {
    let said = contact(wizard, said).await?;
    let terms = introduction.terms.as_deref().unwrap_or("its directory names none");
    wizard.talk.tell(format!("The CA's terms: {terms}"));
    let agreed = wizard.talk.yes("Do you agree to them?", Usual::No).await?;
    Ok(agreed.then_some(said))
}

async fn directory(wizard: &mut Wizard) -> Result<String, Silent> {
    wizard.talk.tell("\nThe CA that issues; a number, or the URL of another ACME directory:");
    let lines = CAS.map(|(_, line)| line);
    let is_url = |answer: &str| answer.starts_with("https://") || answer.starts_with("http://");
    Ok(match wizard.talk.choice("Which", &lines, is_url).await? {
        Choice::Number(number) => CAS[number].0.to_owned(),
        Choice::Words(url) => url,
    })
}

/// What the CA says of itself.
async fn meet(
    wizard: &mut Wizard,
    said: &Authority,
) -> Result<anyhow::Result<Introduction>, Stopped> {
    let answers = Answers { authority: Some(said.clone()), ..wizard.answers.clone() };
    if !wizard.take(answers) {
        return Ok(Err(anyhow::anyhow!("its directory cannot be asked as it is written")));
    }
    let config = wizard.config().map_err(wrong)?;
    wizard.answers.authority = None;
    let acme: Acme = config.acme.clone();
    wizard.talk.tell("asking the CA ...");
    let run = Run::trusting_all(config, None, wizard.live_ground());
    let asked =
        patient(async { issue::introduction(&run.acme_http(&acme)?, &acme.directory).await });
    Ok(wizard.unless_stopped(asked).await?)
}

/// A mail address that the configuration takes, or none.
async fn contact(wizard: &mut Wizard, said: Authority) -> Result<Authority, Stopped> {
    loop {
        let question = "A mail address that the CA may write to (Enter: none)";
        let contact = wizard.talk.line(question, "").await?;
        let said = Authority { contact, ..said.clone() };
        if wizard.take(Answers { authority: Some(said.clone()), ..wizard.answers.clone() }) {
            wizard.answers.authority = None;
            return Ok(said);
        }
    }
}

async fn prove(wizard: &mut Wizard) -> Result<Prove, Silent> {
    wizard.talk.tell("\nWho has the DNS of these names? (For any other write [dns.default] by docs/dns.md first.)");
    Ok(match wizard.talk.choice("Which", &PROVERS, |_| false).await? {
        Choice::Number(1) => {
            Prove::Program(wizard.talk.needed("Absolute path of the program").await?)
        }
        Choice::Number(_) | Choice::Words(_) => Prove::Alidns,
    })
}

fn tell(wizard: &mut Wizard, error: &anyhow::Error) {
    let (what, help) = told::parts(error);
    wizard.talk.tell(told::lines("the CA does not answer", &what, &help));
}
