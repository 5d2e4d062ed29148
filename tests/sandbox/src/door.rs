//! The door: a listener whose connections can be reset in the middle of a call, or say everything twice.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Serves until it is dropped; each call is handed the [`Cut`] of its connection.
pub(crate) async fn serve<L>(door: L, router: Router)
where
    L: Listener<Addr = SocketAddr>,
    for<'a> Cut: Connected<IncomingStream<'a, L>>,
{
    let service = router.into_make_service_with_connect_info::<Cut>();
    axum::serve(door, service).await.expect("a server that only ends with its stage");
}

/// A listener of [`Wire`]s.
pub(crate) struct Door(pub(crate) TcpListener);

impl Door {
    async fn wire(&mut self) -> (Wire, SocketAddr) {
        loop {
            // A connection that failed before it was accepted concerns its client only.
            if let Ok((stream, address)) = self.0.accept().await {
                stream.set_nodelay(true).unwrap_or_default();
                return (Wire { stream, cut: Cut::default() }, address);
            }
        }
    }
}

impl Listener for Door {
    type Io = Echo<Wire>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Echo<Wire>, SocketAddr) {
        let (wire, address) = self.wire().await;
        (Echo::of(wire.cut.clone(), wire), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A listener of [`Wire`]s within TLS.
pub(crate) struct TlsDoor {
    /// Connections whose handshake is done: one that never does it keeps nobody waiting.
    ready: mpsc::UnboundedReceiver<(Echo<TlsStream<Wire>>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsDoor {
    /// Accepts and shakes hands on tasks of the runtime that it is called in.
    pub(crate) fn open(mut door: Door, acceptor: TlsAcceptor) -> Self {
        let address = door.0.local_addr().expect("the listener's address");
        let (done, ready) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (wire, address) = door.wire().await;
                let (done, acceptor) = (done.clone(), acceptor.clone());
                tokio::spawn(async move {
                    // A handshake that failed concerns its client only.
                    let cut = wire.cut.clone();
                    if let Ok(stream) = acceptor.accept(wire).await {
                        drop(done.send((Echo::of(cut, stream), address)));
                    }
                });
            }
        });
        Self { ready, address }
    }
}

impl Listener for TlsDoor {
    type Io = Echo<TlsStream<Wire>>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Echo<TlsStream<Wire>>, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Connected<IncomingStream<'_, TlsDoor>> for Cut {
    fn connect_info(stream: IncomingStream<'_, TlsDoor>) -> Self {
        stream.io().cut.clone()
    }
}

/// What is done to the connection of the call that it was handed to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut(Arc<Done>);

#[derive(Debug, Default)]
struct Done {
    is_cut: AtomicBool,
    is_doubled: AtomicBool,
}

impl Cut {
    /// Nothing is written to it any more.
    pub(crate) fn now(&self) {
        self.0.is_cut.store(true, Ordering::SeqCst);
    }

    /// What is written to it next is written twice.
    pub(crate) fn twice(&self) {
        self.0.is_doubled.store(true, Ordering::SeqCst);
    }
}

impl Connected<IncomingStream<'_, Door>> for Cut {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().cut.clone()
    }
}

/// A connection.
pub(crate) struct Wire {
    stream: TcpStream,
    cut: Cut,
}

impl Wire {
    /// Fails once the connection was cut, so that it is dropped; without linger its end is a reset.
    fn check(&self) -> io::Result<()> {
        if !self.cut.0.is_cut.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.stream.set_zero_linger()?;
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A stream that says again, before the next flush, what was written to it while its [`Cut`] said so.
pub(crate) struct Echo<S> {
    stream: S,
    cut: Cut,
    again: Vec<u8>,
}

impl<S: AsyncWrite + Unpin> Echo<S> {
    fn of(cut: Cut, stream: S) -> Self {
        Self { stream, cut, again: Vec::new() }
    }

    fn poll_again(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.again.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.again) {
                Poll::Ready(Ok(written)) => drop(self.again.drain(..written)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Echo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Echo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = written
            && self.cut.0.is_doubled.load(Ordering::SeqCst)
        {
            self.again.extend_from_slice(&bytes[..written]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.again.is_empty() {
            self.cut.0.is_doubled.store(false, Ordering::SeqCst);
            std::task::ready!(self.poll_again(cx))?;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
