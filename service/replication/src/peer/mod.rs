//! Peer network over HTTP/2.

/// Calls peers. One connection a peer, many streams.
pub struct PeerClient {}
