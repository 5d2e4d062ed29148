//! What an edge shows: the chain that each of its addresses serves for a CDN domain.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;

use crate::cert::Chain;
use crate::config::CdnDomain;
use crate::http::tls;

/// A CNAME of the CDN has two to four addresses; more than these are not asked in one look, which would be a scan.
const MOST_ADDRESSES: usize = 8;

/// Under a wildcard CDN domain any name is served; this one nobody has a CDN domain, a record or a page of his own for,
/// and in the edge's log it says who asked.
const PROBE: &str = "certferry-probe";

/// An address of an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The address.
    pub address: SocketAddr,
    /// What it serves, or why that cannot be known.
    pub shown: Result<Chain, String>,
}

/// What all addresses of this host serve for the CDN domain; each is asked, side by side, for at most `patience`.
///
/// # Errors
/// The host has no address; why.
pub async fn edge(
    host: &str,
    port: u16,
    domain: &CdnDomain,
    patience: Duration,
) -> Result<Vec<Node>, String> {
    let addresses = tls::addresses(host, port, patience).await?;
    let name = name_at_edge(domain);
    let nodes =
        addresses.iter().take(MOST_ADDRESSES).map(|address| node(*address, &name, patience));
    Ok(join_all(nodes).await)
}

/// The name that a client of this CDN domain asks the edge for.
fn name_at_edge(domain: &CdnDomain) -> String {
    match domain.api_name.strip_prefix('.') {
        Some(parent) => format!("{PROBE}.{parent}"),
        None => domain.api_name.clone(),
    }
}

async fn node(address: SocketAddr, name: &str, patience: Duration) -> Node {
    let shown = tls::served(address, name, patience).await;
    let read = |ders| Chain::of(ders).map_err(|error| error.to_string());
    Node { address, shown: shown.and_then(read) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn names_at_the_edge() {
        let check = |written: &str, name: &str| {
            assert_eq!(name_at_edge(&CdnDomain::read(written).unwrap()), name);
        };
        check("cdn.example.com", "cdn.example.com");
        check("*.example.com", "certferry-probe.example.com");
        check(".Example.com", "certferry-probe.example.com");
        check("bücher.example", "xn--bcher-kva.example");
    }
}
