package scsi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
)

// TransportID formats of iSCSI (SPC-5 §7.6.4.6): the name of an initiator
// device, or of an initiator port: the name, ",i,0x" and the ISID.
const (
	transportIDDevice = 0x00 | protocolISCSI
	transportIDPort   = 0x40 | protocolISCSI

	transportIDHeaderLength = 4
	minTransportIDName      = 20
	maxTransportIDName      = 244 // 223 of the name, separator, ISID, terminator, padded
)

// ErrTransportID is what DecodeTransportID answers.
var ErrTransportID = errors.New("malformed iSCSI TransportID, or not one of an initiator port")

// AppendTransportID appends the TransportID of an initiator port, which is its
// name as RFC 7143 §4.2.7 makes it: initiator name, ",i,0x", ISID.
func AppendTransportID(b []byte, initiatorPort string) []byte {
	n := max((len(initiatorPort)+4)&^3, minTransportIDName)
	format := byte(transportIDPort)
	if !strings.Contains(initiatorPort, ",i,0x") {
		format = transportIDDevice
	}
	b = append(b, format, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	name := make([]byte, n)
	copy(name, initiatorPort)
	return append(b, name...)
}

// DecodeTransportID reads the TransportID of an initiator port at the start of
// b, and tells its length in bytes. The name of an initiator device, which
// stands for ports nobody can list, is refused.
func DecodeTransportID(b []byte) (initiatorPort string, length int, err error) {
	if len(b) < transportIDHeaderLength || b[0] != transportIDPort {
		return "", 0, ErrTransportID
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < minTransportIDName || n > maxTransportIDName || n%4 != 0 || transportIDHeaderLength+n > len(b) {
		return "", 0, ErrTransportID
	}
	length = transportIDHeaderLength + n
	name := b[transportIDHeaderLength:length]
	end := bytes.IndexByte(name, 0)
	if end < 0 {
		return "", 0, ErrTransportID
	}
	initiatorPort = string(name[:end])
	if i := strings.Index(initiatorPort, ",i,0x"); i <= 0 || i+len(",i,0x") == len(initiatorPort) {
		return "", 0, ErrTransportID
	}
	return initiatorPort, length, nil
}
