//! The door: a listener whose connections can be reset in the middle of a call.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A listener of [`Wire`]s.
pub(crate) struct Door(pub(crate) TcpListener);

impl Listener for Door {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            // A connection that failed before it was accepted concerns its client only.
            if let Ok((stream, address)) = self.0.accept().await {
                stream.set_nodelay(true).unwrap_or_default();
                return (Wire { stream, cut: Cut::default() }, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A listener of [`Wire`]s within TLS.
pub(crate) struct TlsDoor {
    /// Connections whose handshake is done: one that never does it keeps nobody waiting.
    ready: mpsc::UnboundedReceiver<(TlsStream<Wire>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsDoor {
    /// Accepts and shakes hands on tasks of the runtime that it is called in.
    pub(crate) fn open(mut door: Door, acceptor: TlsAcceptor) -> Self {
        let address = door.0.local_addr().expect("the listener's address");
        let (done, ready) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (wire, address) = door.accept().await;
                let (done, acceptor) = (done.clone(), acceptor.clone());
                tokio::spawn(async move {
                    // A handshake that failed concerns its client only.
                    if let Ok(stream) = acceptor.accept(wire).await {
                        drop(done.send((stream, address)));
                    }
                });
            }
        });
        Self { ready, address }
    }
}

impl Listener for TlsDoor {
    type Io = TlsStream<Wire>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TlsStream<Wire>, SocketAddr) {
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
        stream.io().get_ref().0.cut.clone()
    }
}

/// Cuts the connection of the call that it was handed to: nothing is written to it any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut(Arc<AtomicBool>);

impl Cut {
    pub(crate) fn now(&self) {
        self.0.store(true, Ordering::SeqCst);
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
        if !self.cut.0.load(Ordering::SeqCst) {
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
