// Package iscsi is the wire of RFC 7143: PDUs and their header segments, text
// keys and their negotiation, CHAP, digests, names and serial numbers. The
// target and the initiator both build on it.
//
// It is pure: bytes in, values out and back. It starts no goroutine, opens no
// socket, reads no clock and draws no random number; whoever needs one hands
// it in. Decoders take untrusted bytes: they answer with an error, never with
// a panic, and use memory only within the limits they are given.
//
// # PDUs
//
// A PDU is a basic header segment of 48 bytes (BHS), perhaps additional header
// segments (AHS), and a data segment padded to four bytes; each of the two
// parts is followed by a CRC32C digest when that was negotiated (§11.1-11.2).
//
// There is a struct for each PDU, such as SCSICommand or DataIn, with
//
//	func (p *SCSICommand) Decode(h *BHS)
//	func (p SCSICommand) Encode(h *BHS)
//
// Neither allocates. Decode ignores the opcode (the caller has looked at
// BHS.Opcode to choose the struct) and reserved bits. Encode overwrites the
// whole header with the lengths set to zero; the lengths are filled in when
// the PDU is sent.
//
// A Reader takes PDUs off a stream: ReadHeader, then one of ReadData (into
// memory of the caller), Data (in place) or Discard. An Outgoing is a PDU to
// be sent: the caller encodes into its Header, sets Data, and AppendTo yields
// the slices for one gathered write, digests and padding included.
//
// # Text and negotiation
//
// ParseText and AppendText translate between a text data segment and a list
// of KeyValue. The table of keys (LookupKey) says of each how it is
// negotiated, who may send it, when, and its default and range. A Negotiator
// carries that out for either side: Receive each pair that arrives and send
// what it answers; Offer what this side wants to state; Done tells that
// nothing is outstanding; Result is the outcome.
//
// # CHAP
//
// CHAPAlgorithms lists the algorithms, strongest first. CHAPAlgorithm.Response
// computes an answer, CHAPAlgorithm.Verify compares in constant time,
// EncodeBinary and DecodeBinary translate binary values. Both sides must refuse a
// challenge that is their own (§12.1.3): see Reflected.
package iscsi
