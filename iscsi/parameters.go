package iscsi

// Parameters are what a session and its connection work with (§13). Lengths
// are in bytes, times in seconds.
type Parameters struct {
	Digests             Digests
	MaxConnections      uint32
	InitialR2T          bool
	ImmediateData       bool
	MaxBurstLength      uint32
	FirstBurstLength    uint32
	DefaultTime2Wait    uint32
	DefaultTime2Retain  uint32
	MaxOutstandingR2T   uint32
	DataPDUInOrder      bool
	DataSequenceInOrder bool
	ErrorRecoveryLevel  uint32
	ProtocolLevel       uint32 // RFC 7144; 2 allows QUERY TASK and its kin
	// MaxRecvDataSegmentLength is what this side takes in one PDU,
	// PeerMaxRecvDataSegmentLength what the other side does.
	MaxRecvDataSegmentLength     uint32
	PeerMaxRecvDataSegmentLength uint32
}

// DefaultParameters hold where nothing is negotiated (§13).
func DefaultParameters() Parameters {
	return Parameters{
		MaxConnections:               1,
		InitialR2T:                   true,
		ImmediateData:                true,
		MaxBurstLength:               262144,
		FirstBurstLength:             65536,
		DefaultTime2Wait:             2,
		DefaultTime2Retain:           20,
		MaxOutstandingR2T:            1,
		DataPDUInOrder:               true,
		DataSequenceInOrder:          true,
		ErrorRecoveryLevel:           0,
		ProtocolLevel:                1,
		MaxRecvDataSegmentLength:     8192,
		PeerMaxRecvDataSegmentLength: 8192,
	}
}

// Wanted is what one side brings to a negotiation.
type Wanted struct {
	// Parameters are the values this side offers and answers with;
	// Digests and PeerMaxRecvDataSegmentLength are not looked at.
	Parameters
	// HeaderDigests and DataDigests are accepted, the preferred one first.
	// Empty means NoDigest.
	HeaderDigests []Digest
	DataDigests   []Digest
}

// FastWanted is what a side that is out for speed wants: unsolicited data,
// segments of 256 KiB, bursts of 1 MiB, either digest if the peer insists.
func FastWanted() Wanted {
	w := Wanted{
		Parameters:    DefaultParameters(),
		HeaderDigests: []Digest{NoDigest, CRC32C},
		DataDigests:   []Digest{NoDigest, CRC32C},
	}
	w.InitialR2T = false
	w.MaxRecvDataSegmentLength = 256 << 10
	w.FirstBurstLength = 256 << 10
	w.MaxBurstLength = 1 << 20
	w.MaxOutstandingR2T = 8
	w.DefaultTime2Retain = 0
	w.ProtocolLevel = 2
	return w
}

// digests are the ones wanted for key k, never empty.
func (w *Wanted) digests(k *Key) []Digest {
	list := w.DataDigests
	if k.Name == KeyHeaderDigest {
		list = w.HeaderDigests
	}
	if len(list) == 0 {
		return []Digest{NoDigest}
	}
	return list
}
