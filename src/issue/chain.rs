//! The chain that is handed out (RFC 8555, 7.4.2): the default one, or the alternate that the configuration prefers.

use anyhow::anyhow;

use super::Failure;
use super::account::Session;
use super::acme::patient;
use super::order::UnderWay;
use super::refusal;
use crate::cert;

impl UnderWay {
    /// The chain that leads to the root `wanted`, where the CA offers one; else the default chain.
    pub(super) async fn chain(&mut self, wanted: Option<&str>) -> Result<String, Failure> {
        let chain = self.download().await?;
        let Some(wanted) = wanted.filter(|wanted| !leads_to(&chain, wanted)) else {
            return Ok(chain);
        };
        for url in self.session.line.heard().alternates.into_iter().take(MOST_ALTERNATES) {
            let other = alternate(&self.session, url).await;
            if let Some(other) = other.filter(|other| leads_to(other, wanted)) {
                return Ok(other);
            }
        }
        Ok(chain)
    }

    async fn download(&mut self) -> Result<String, Failure> {
        let Self { order, session, .. } = self;
        let chain = patient(async || order.certificate().await).await;
        let chain = chain.map_err(|error| Failure {
            counted: false,
            ..session.failure("to hand out the certificate", error)
        })?;
        let nothing = || anyhow!("the CA calls the order valid and has no certificate for it");
        chain.ok_or_else(|| Failure::of_ca(nothing()))
    }
}

/// An alternate chain. The crate knows none; but what it asks for as an order is signed in the same way. It cannot read
/// the answer, which the line has kept.
async fn alternate(session: &Session, url: String) -> Option<String> {
    let asked = patient(async || session.account.order(url.clone()).await.map(|_order| ())).await;
    let chain = session.line.heard().chain;
    let error = asked.err().as_ref().map(refusal::logged);
    tracing::debug!(url, is_chain = chain.is_some(), error, "an alternate chain");
    chain
}

fn leads_to(chain: &str, wanted: &str) -> bool {
    cert::leads_to(chain.as_bytes()).is_ok_and(|root| root == wanted)
}

/// Let's Encrypt offers two; a call each.
const MOST_ALTERNATES: usize = 5;
