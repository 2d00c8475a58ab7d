// SPDX-License-Identifier: Apache-2.0

// Package pki keeps the private key, the certificate and the CA certificate
// with which the switch speaks TLS, and makes configurations of them.
//
// # Who is trusted
//
// As in Open vSwitch both sides show a certificate, and a peer is trusted if
// its chain leads to a certificate in the CA file, whatever name it bears: the
// certificates of ovs-pki have "NAME id:UUID" as their DNS name, which no host
// name can match, and no extended key usage. A peer without a certificate is
// refused. TLS 1.2 is the least; sessions are not resumed, so that each one is
// checked against the files as they are. The CA file "none" trusts everybody
// (ovs-vsctl(8), --ca-cert), and a line in the log says so.
//
// What we send is the certificate with those behind it in its file and, as
// OpenSSL does for stock, those of the CA file that issued it: a peer that
// bootstraps needs them.
//
// # Bootstrap
//
// With [Files.Bootstrap] and no CA file, the first connection that we make
// takes the last certificate of the peer's chain, if it is self-signed and the
// chain is right under it, and puts it into the file (never over an existing
// one, mode 0444, whole or not at all). That connection is dropped with
// [ErrBootstrapped]; the next one is checked. This trusts whoever answers
// first, so the fingerprint is logged. A listener never bootstraps.
//
// # Files that change
//
// The folders of the files are watched (by inotify, and every 10 s by looking,
// for file systems and folders where that does not work). A new key pair or CA
// certificate is taken over when it is complete and right; until then the old one
// stays, and the log has the reason once. Sessions that live are not touched.
//
// # Bounds and threads
//
// A file has at most 1 MiB, the CA file at most 512 certificates. All methods
// may be called from any goroutine. A [Keys] has one goroutine until Close.
package pki
