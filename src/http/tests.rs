//! Answers and errors of the client, against a scripted server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::fake::{Fake, Reply, run};
use super::*;

const SOON: Duration = Duration::from_millis(300);
const LATE: Duration = Duration::from_secs(10);

fn request(url: &str) -> Request {
    Request::new(reqwest::Method::GET, format!("{url}/path?secret=1").parse().unwrap())
}

/// What comes of a reply: its status and body, or the error's kind with a word of its text.
fn check(row: &str, reply: Reply, timeout: Duration, want: Result<(u16, &str), &str>) {
    let got = run(async {
        let fake = Fake::start([reply]).await;
        Http::new().send(request(&fake.url), timeout).await
    });
    match (got, want) {
        (Ok(answer), Ok(want)) => {
            assert_eq!((answer.status, answer.body), (want.0, want.1.into()), "{row}")
        }
        (Err(error), Err(want)) => {
            let text = format!("{error:?}");
            assert!(text.starts_with(want) && !text.contains("secret"), "{row}: {text}");
        }
        (got, want) => panic!("{row}: {got:?}, wanted {want:?}"),
    }
}

#[test]
fn answers() {
    let redirect = Reply::Answer(302, "Location: http://127.0.0.1:1/\r\n".into(), String::new());
    let large = Reply::Answer(200, String::new(), "x".repeat(MOST + 1));
    check("an answer", Reply::json(200, "{}"), LATE, Ok((200, "{}")));
    check("an error is an answer", Reply::json(503, "busy"), LATE, Ok((503, "busy")));
    check("a redirect is an answer", redirect, LATE, Ok((302, "")));
    check(
        "as large as may be",
        Reply::json(200, &"x".repeat(MOST)),
        LATE,
        Ok((200, &"x".repeat(MOST))),
    );
    check("too large", large, LATE, Err("TooLarge"));
    check("closed", Reply::Close, LATE, Err("Unknown"));
    check("cut", Reply::Cut(200, "{".into()), LATE, Err("Unknown"));
    check("no answer", Reply::Hang, SOON, Err("Unknown(\"127.0.0.1: no answer within 300.0ms"));
}

#[test]
fn nobody_listens() {
    let error = run(Http::new().send(request("http://127.0.0.1:1"), LATE)).unwrap_err();
    let Error::NotSent(text) = error else { panic!("{error:?}") };
    assert!(
        text.contains("127.0.0.1") && text.contains("refused") && !text.contains("secret"),
        "{text}"
    );
}

#[test]
fn no_tls_there() {
    let error = run(async {
        let fake = Fake::start([Reply::json(200, "{}")]).await;
        Http::new().send(request(&fake.url.replace("http:", "https:")), SOON).await.unwrap_err()
    });
    assert!(matches!(error, Error::NotSent(_) | Error::Unknown(_)), "{error:?}");
}

#[test]
fn it_says_who_it_is() {
    let asked = run(async {
        let fake = Fake::start([Reply::json(200, "{}")]).await;
        Http::new().send(request(&fake.url), LATE).await.unwrap();
        fake.asked()
    });
    assert!(asked[0].head.to_lowercase().contains("user-agent: certferry/"), "{}", asked[0].head);
}

#[test]
fn extra_roots() {
    let key = rcgen::KeyPair::generate().unwrap();
    let root =
        rcgen::CertificateParams::new(vec!["a.example".into()]).unwrap().self_signed(&key).unwrap();
    let two = format!("{0}{0}", root.pem());
    assert!(Http::trusting(two.into_bytes()).client().is_ok());
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let error = Http::trusting(broken.into()).client().unwrap_err();
    assert!(matches!(&error, Error::Setup(text) if text.contains("extra root")), "{error:?}");
}

#[test]
fn loopback() {
    let check =
        |url: &str, want: bool| assert_eq!(is_loopback(&url.parse().unwrap()), want, "{url}");
    check("http://127.0.0.1:80/", true);
    check("http://127.9.9.9/", true);
    check("http://[::1]:80/", true);
    check("http://localhost/", true);
    check("http://a.localhost/", true);
    check("http://localhost.example.com/", false);
    check("http://127.0.0.1.example.com/", false);
    check("https://cdn.aliyuncs.com/", false);
    check("http://10.0.0.1/", false);
}

/// A TLS server of one certificate; what a client with these roots gets from it.
async fn over_tls(trust: fn(Vec<u8>) -> Http, name: &str) -> Result<Answer, Error> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = rcgen::CertificateParams::new(vec![name.into()]).unwrap().self_signed(&key).unwrap();
    let der = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], der)
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::task::spawn_local(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let Ok(mut stream) = acceptor.accept(stream).await else { return };
        assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
        stream.shutdown().await.ok();
    });
    trust(cert.pem().into_bytes()).send(request(&url), LATE).await
}

#[test]
fn tls_is_verified() {
    let trusted = run(over_tls(Http::trusting, "127.0.0.1")).unwrap();
    assert_eq!((trusted.status, trusted.body), (200, b"{}".to_vec()));
    for (row, trust, name) in [
        ("unknown issuer", (|_| Http::new()) as fn(Vec<u8>) -> Http, "127.0.0.1"),
        ("another name", Http::trusting, "cdn.example.com"),
    ] {
        let error = run(over_tls(trust, name)).unwrap_err();
        assert!(
            matches!(&error, Error::NotSent(text) if text.contains("certificate")),
            "{row}: {error:?}"
        );
    }
}
