//! Where an edge is asked: `edge = "host:port"` of a `[[certificate.deploy]]`.

use std::net::IpAddr;

use super::names::dns_name;
use super::said::Section;
use super::{EdgeAt, Verify};

/// HTTPS (RFC 9110, 4.2.2).
const HTTPS: u16 = 443;

const HELP: &str = "write a name or an address with its port: \"edge.example.com:443\", \"192.0.2.1:443\", \"[2001:db8::1]:443\"";

/// How an upload is proved, by `verify` and `edge`; by the read-back, unless said otherwise.
pub(super) fn verify(section: &Section<'_>) -> Verify {
    let ways = [
        ("readback", Verify::Readback),
        ("edge", Verify::Edge(EdgeAt::Cname)),
        ("none", Verify::None),
    ];
    let way = section.value("verify").and_then(|value| value.one_of(&ways));
    let way = way.unwrap_or(Verify::Readback);
    let Some(value) = section.value("edge") else { return way };
    let Verify::Edge(_) = way else {
        value
            .wrong("stands there, but nobody asks the edge", "write `verify = \"edge\"` beside it");
        return way;
    };
    let Some(text) = value.text() else { return way };
    match read(text) {
        Ok(at) => Verify::Edge(at),
        Err(why) => {
            value.wrong(format!("has `{text}`, which {why}"), HELP);
            way
        }
    }
}

/// `host`, `host:port`, `[ipv6]:port`; port 443 where none is written.
fn read(text: &str) -> Result<EdgeAt, String> {
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(EdgeAt::Host(address.to_string(), HTTPS));
    }
    let (host, port) = match text.rsplit_once(':') {
        None => (text, HTTPS),
        Some((host, port)) => {
            (host, port.parse().ok().filter(|port| *port != 0).ok_or("has no port at its end")?)
        }
    };
    let inside = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match inside.parse::<IpAddr>() {
        Ok(address) => Ok(EdgeAt::Host(address.to_string(), port)),
        Err(_no_address) if inside == "localhost" => Ok(EdgeAt::Host(inside.to_owned(), port)),
        Err(_no_address) if inside.contains('*') => Err("has a star: one host is asked".to_owned()),
        Err(_no_address) => Ok(EdgeAt::Host(dns_name(inside)?, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        let check = |text: &str, want: Option<(&str, u16)>| {
            let want = want.map(|(host, port)| EdgeAt::Host(host.to_owned(), port));
            assert_eq!(read(text).ok(), want, "{text}");
        };
        check("127.0.0.1:8443", Some(("127.0.0.1", 8443)));
        check("127.0.0.1", Some(("127.0.0.1", 443)));
        check("[::1]:8443", Some(("::1", 8443)));
        check("::1", Some(("::1", 443)));
        check("[::1]", Some(("::1", 443)));
        check("Edge.Example.com:8443", Some(("edge.example.com", 8443)));
        check("cdn.example.com.w.kunlunsl.com", Some(("cdn.example.com.w.kunlunsl.com", 443)));
        check("localhost:8443", Some(("localhost", 8443)));
        check("", None);
        check(":8443", None);
        check("edge.example.com:", None);
        check("edge.example.com:0", None);
        check("edge.example.com:https", None);
        check("edge.example.com:70000", None);
        check("https://edge.example.com", None);
        check("*.example.com:443", None);
        check("edge.example.com/x:443", None);
    }
}
