package iscsi

// Kind is how a key is negotiated (§6.2, §13).
type Kind uint8

// Kinds of keys.
const (
	// Declarative keys are stated and not answered.
	Declarative Kind = iota
	// List keys offer values in order of preference; the answer is one.
	List
	// BooleanOr keys result in Yes when either side says Yes.
	BooleanOr
	// BooleanAnd keys result in Yes when both sides say Yes.
	BooleanAnd
	// Minimum keys result in the lower number.
	Minimum
	// Maximum keys result in the higher number.
	Maximum
	// Security keys belong to the authentication exchange; who carries it out
	// handles them (§12).
	Security
	// Refused keys are known and always answered with the default
	// (obsoleted ones, §13.25, and those of transports not spoken here).
	Refused
)

// Role is one of the two sides of a session.
type Role uint8

// Roles. A set of them says who may send a key.
const (
	Initiator Role = 1 << iota
	Target

	both = Initiator | Target
)

// Sets of stages in which a key may be sent.
const (
	inSecurity    = 1 << SecurityNegotiation
	inOperational = 1 << LoginOperationalNegotiation
	inFullFeature = 1 << FullFeaturePhase
	inLogin       = inSecurity | inOperational
	inAny         = inLogin | inFullFeature
)

// Key is what the protocol says of one text key.
type Key struct {
	Name string
	Kind Kind
	// Sender is who may send it first; an answer is allowed to the other.
	Sender Role
	// Default holds without negotiation, as the value is written.
	Default string
	// Min and Max bound a number; both 0 for other values.
	Min, Max uint32

	stages uint8
	// Where the outcome is kept, for keys a Negotiator handles; one is set.
	number func(*Parameters) *uint32
	flag   func(*Parameters) *bool
	digest func(*Parameters) *Digest
}

// AllowedIn tells whether the key may be sent in stage s.
func (k *Key) AllowedIn(s Stage) bool { return k.stages&(1<<s) != 0 }

// numeric tells whether values are numbers.
func (k *Key) numeric() bool { return k.number != nil }

// Names of the keys (§12, §13, RFC 7144 §3.1.1).
const (
	KeyAuthMethod               = "AuthMethod"
	KeyHeaderDigest             = "HeaderDigest"
	KeyDataDigest               = "DataDigest"
	KeyMaxConnections           = "MaxConnections"
	KeySendTargets              = "SendTargets"
	KeyTargetName               = "TargetName"
	KeyInitiatorName            = "InitiatorName"
	KeyTargetAlias              = "TargetAlias"
	KeyInitiatorAlias           = "InitiatorAlias"
	KeyTargetAddress            = "TargetAddress"
	KeyTargetPortalGroupTag     = "TargetPortalGroupTag"
	KeyInitialR2T               = "InitialR2T"
	KeyImmediateData            = "ImmediateData"
	KeyMaxRecvDataSegmentLength = "MaxRecvDataSegmentLength"
	KeyMaxBurstLength           = "MaxBurstLength"
	KeyFirstBurstLength         = "FirstBurstLength"
	KeyDefaultTime2Wait         = "DefaultTime2Wait"
	KeyDefaultTime2Retain       = "DefaultTime2Retain"
	KeyMaxOutstandingR2T        = "MaxOutstandingR2T"
	KeyDataPDUInOrder           = "DataPDUInOrder"
	KeyDataSequenceInOrder      = "DataSequenceInOrder"
	KeyErrorRecoveryLevel       = "ErrorRecoveryLevel"
	KeySessionType              = "SessionType"
	KeyTaskReporting            = "TaskReporting"
	KeyProtocolLevel            = "iSCSIProtocolLevel"
)

// Values of SessionType (§13.21).
const (
	SessionNormal    = "Normal"
	SessionDiscovery = "Discovery"
)

// keys is the table of keys: RFC 7143 §12.1, §13 and RFC 7144 §3.1.1.
var keys = []Key{
	{Name: KeyAuthMethod, Kind: Security, Sender: both, Default: ValueNone, stages: inSecurity},
	{Name: KeyCHAPA, Kind: Security, Sender: both, stages: inSecurity},
	{Name: KeyCHAPI, Kind: Security, Sender: both, stages: inSecurity},
	{Name: KeyCHAPC, Kind: Security, Sender: both, stages: inSecurity},
	{Name: KeyCHAPN, Kind: Security, Sender: both, stages: inSecurity},
	{Name: KeyCHAPR, Kind: Security, Sender: both, stages: inSecurity},

	{Name: KeySendTargets, Kind: Declarative, Sender: Initiator, stages: inFullFeature},
	{Name: KeyTargetName, Kind: Declarative, Sender: both, stages: inAny},
	{Name: KeyInitiatorName, Kind: Declarative, Sender: Initiator, stages: inLogin},
	{Name: KeyTargetAlias, Kind: Declarative, Sender: Target, stages: inAny},
	{Name: KeyInitiatorAlias, Kind: Declarative, Sender: Initiator, stages: inAny},
	{Name: KeyTargetAddress, Kind: Declarative, Sender: Target, stages: inAny},
	{Name: KeyTargetPortalGroupTag, Kind: Declarative, Sender: Target, stages: inLogin},
	{Name: KeySessionType, Kind: Declarative, Sender: Initiator, Default: SessionNormal, stages: inLogin},

	{Name: KeyHeaderDigest, Kind: List, Sender: both, Default: ValueNone, stages: inOperational,
		digest: func(p *Parameters) *Digest { return &p.Digests.Header }},
	{Name: KeyDataDigest, Kind: List, Sender: both, Default: ValueNone, stages: inOperational,
		digest: func(p *Parameters) *Digest { return &p.Digests.Data }},
	{Name: KeyMaxConnections, Kind: Minimum, Sender: both, Default: "1", Min: 1, Max: 65535, stages: inOperational,
		number: func(p *Parameters) *uint32 { return &p.MaxConnections }},
	{Name: KeyInitialR2T, Kind: BooleanOr, Sender: both, Default: ValueYes, stages: inOperational,
		flag: func(p *Parameters) *bool { return &p.InitialR2T }},
	{Name: KeyImmediateData, Kind: BooleanAnd, Sender: both, Default: ValueYes, stages: inOperational,
		flag: func(p *Parameters) *bool { return &p.ImmediateData }},
	{Name: KeyMaxRecvDataSegmentLength, Kind: Declarative, Sender: both, Default: "8192", Min: 512, Max: MaxDataSegmentLength,
		stages: inOperational | inFullFeature,
		number: func(p *Parameters) *uint32 { return &p.MaxRecvDataSegmentLength }},
	{Name: KeyMaxBurstLength, Kind: Minimum, Sender: both, Default: "262144", Min: 512, Max: MaxDataSegmentLength, stages: inOperational,
		number: func(p *Parameters) *uint32 { return &p.MaxBurstLength }},
	{Name: KeyFirstBurstLength, Kind: Minimum, Sender: both, Default: "65536", Min: 512, Max: MaxDataSegmentLength, stages: inOperational,
		number: func(p *Parameters) *uint32 { return &p.FirstBurstLength }},
	{Name: KeyDefaultTime2Wait, Kind: Maximum, Sender: both, Default: "2", Min: 0, Max: 3600, stages: inOperational,
		number: func(p *Parameters) *uint32 { return &p.DefaultTime2Wait }},
	{Name: KeyDefaultTime2Retain, Kind: Minimum, Sender: both, Default: "20", Min: 0, Max: 3600, stages: inOperational,
		number: func(p *Parameters) *uint32 { return &p.DefaultTime2Retain }},
	{Name: KeyMaxOutstandingR2T, Kind: Minimum, Sender: both, Default: "1", Min: 1, Max: 65535, stages: inOperational,
		number: func(p *Parameters) *uint32 { return &p.MaxOutstandingR2T }},
	{Name: KeyDataPDUInOrder, Kind: BooleanOr, Sender: both, Default: ValueYes, stages: inOperational,
		flag: func(p *Parameters) *bool { return &p.DataPDUInOrder }},
	{Name: KeyDataSequenceInOrder, Kind: BooleanOr, Sender: both, Default: ValueYes, stages: inOperational,
		flag: func(p *Parameters) *bool { return &p.DataSequenceInOrder }},
	{Name: KeyErrorRecoveryLevel, Kind: Minimum, Sender: both, Default: "0", Min: 0, Max: 2, stages: inOperational,
		number: func(p *Parameters) *uint32 { return &p.ErrorRecoveryLevel }},
	{Name: KeyProtocolLevel, Kind: Minimum, Sender: both, Default: "1", Min: 0, Max: 31, stages: inOperational,
		number: func(p *Parameters) *uint32 { return &p.ProtocolLevel }},

	// RFC3720 reporting is what a session without multi-task aborts of RFC
	// 5048 does; the other values need features nobody asks for.
	{Name: KeyTaskReporting, Kind: Refused, Sender: both, Default: "RFC3720", stages: inOperational},
	{Name: "IFMarker", Kind: Refused, Sender: both, Default: ValueNo, stages: inOperational},
	{Name: "OFMarker", Kind: Refused, Sender: both, Default: ValueNo, stages: inOperational},
	{Name: "IFMarkInt", Kind: Refused, Sender: both, Default: ValueReject, stages: inOperational},
	{Name: "OFMarkInt", Kind: Refused, Sender: both, Default: ValueReject, stages: inOperational},
	{Name: "RDMAExtensions", Kind: Refused, Sender: both, Default: ValueNo, stages: inOperational},
}

// keyIndex finds a key of the table by its name.
var keyIndex = func() map[string]int {
	m := make(map[string]int, len(keys))
	for i := range keys {
		m[keys[i].Name] = i
	}
	return m
}()

// LookupKey finds a key by its name; nil when it is none of the table.
func LookupKey(name string) *Key {
	if i, ok := keyIndex[name]; ok {
		return &keys[i]
	}
	return nil
}
