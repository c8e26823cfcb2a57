package scsi

// Command describes one command: an operation code, or an operation code with
// a service action. Entries of Commands are never changed.
type Command struct {
	// Name is the standard's.
	Name string
	// OpCode and ServiceAction select the command. ServiceAction counts only
	// when HasServiceAction.
	OpCode           byte
	ServiceAction    uint16
	HasServiceAction bool
	// Usage is the CDB usage data (SPC-5 §6.35.3): the operation code, then a
	// one for every bit the device server looks at, with the service action
	// itself in its field. Its length is the length of the CDB.
	Usage []byte
	// Direction is the way data moves.
	Direction Direction
	// Access says in which asymmetric access states, besides the active ones,
	// a port takes the command (SPC-5 §5.18.2).
	Access AccessStates
	// ByPort: any port can answer from what it knows, without the logical
	// unit's brain.
	ByPort bool
	// Conflict is the behaviour under a persistent reservation of another I_T
	// nexus (SPC-5 table 68, SBC-4 table 13).
	Conflict ConflictRule
	// WithReserve: allowed while another I_T nexus holds a reservation made
	// with RESERVE (SPC-2 table 10).
	WithReserve bool
	// Attention is what the command does about a pending unit attention
	// condition (SAM-6 §5.14).
	Attention AttentionRule
	// Effect is what the command does to the medium and the logical unit.
	Effect Effect
	// Timeout is the recommended command timeout in seconds
	// (SPC-5 §6.35.4).
	Timeout uint32
}

// Direction is the way the data of a command moves.
type Direction uint8

// Directions.
const (
	DataNone Direction = iota
	DataIn             // to the initiator
	DataOut            // from the initiator
)

// AccessStates is a set of asymmetric access states a command is allowed in.
type AccessStates uint8

// The members of AccessStates.
const (
	OnStandby AccessStates = 1 << iota
	OnUnavailable
	OnTransitioning

	always = OnStandby | OnUnavailable | OnTransitioning
)

// ConflictRule says which persistent reservations of another I_T nexus a
// command conflicts with.
type ConflictRule uint8

// Rules of conflict.
const (
	// ConflictNever: allowed, or the command looks for itself
	// (PERSISTENT RESERVE OUT, RESERVE, RELEASE).
	ConflictNever ConflictRule = iota
	// ConflictReads: conflicts with the exclusive access types, as reads do.
	ConflictReads
	// ConflictWrites: conflicts with the write exclusive and the exclusive
	// access types, as writes do.
	ConflictWrites
	// ConflictPrevent: as ConflictWrites unless the PREVENT field is zero
	// (PREVENT ALLOW MEDIUM REMOVAL).
	ConflictPrevent
	// ConflictStop: as ConflictWrites unless the START bit is one
	// (START STOP UNIT).
	ConflictStop
)

// AttentionRule says what a command does about a pending unit attention.
type AttentionRule uint8

// Rules for unit attentions.
const (
	AttentionReported AttentionRule = iota // ends with CHECK CONDITION and clears it
	AttentionIgnored                       // runs and leaves it pending
	AttentionAsData                        // returns it as parameter data (REQUEST SENSE)
)

// Effect is what a command does to the medium and the logical unit.
type Effect uint8

// Effects.
const (
	EffectNone    Effect = iota
	EffectReads          // reads logical blocks
	EffectWrites         // writes or deallocates logical blocks
	EffectFlushes        // makes written blocks durable
	EffectState          // changes what the logical unit keeps: reservations, mode pages and the like
)

// Conflicts reports whether the command conflicts with a persistent
// reservation of type t which the I_T nexus does not hold; registered says
// whether the nexus is registered.
func (c *Command) Conflicts(cdb CDB, t ReservationType, registered bool) bool {
	if registered && t.Registrants() {
		return false
	}
	switch c.Conflict {
	case ConflictReads:
		return t.ExcludesReads()
	case ConflictWrites:
		return true
	case ConflictPrevent:
		return cdb.Byte(4)&3 != 0
	case ConflictStop:
		return !cdb.Bit(4, 0)
	}
	return false
}

// Check compares the CDB with the usage data: a one where the device server
// expects a zero is INVALID FIELD IN CDB, pointing at the bit. It reports ok
// when there is none.
func (c *Command) Check(cdb CDB) (s Sense, ok bool) {
	if len(cdb) < len(c.Usage) {
		return Illegal(InvalidFieldInCDB), false
	}
	for i := 1; i < len(c.Usage); i++ {
		m := c.Usage[i]
		if i == 1 && c.HasServiceAction {
			m |= 0x1F
		}
		if wrong := cdb[i] &^ m; wrong != 0 {
			return InvalidCDBBit(i, highestBit(wrong)), false
		}
	}
	return Sense{}, true
}

func highestBit(b byte) (n uint8) {
	for b > 1 {
		b >>= 1
		n++
	}
	return n
}

// opcodeEntry is what the table holds for one operation code.
type opcodeEntry struct {
	first, last    CommandID // a run of Commands
	serviceActions bool
}

// opcodes finds the commands of an operation code; first is NoCommand where
// there are none.
var opcodes = func() (t [256]opcodeEntry) {
	for id := NoCommand + 1; id < NumCommands; id++ {
		c := &Commands[id]
		e := &t[c.OpCode]
		if e.first == NoCommand {
			*e = opcodeEntry{first: id, serviceActions: c.HasServiceAction}
		}
		e.last = id
	}
	return t
}()

// Refusal is how a command ends that a logical unit does not have: as if the
// table had no entry for it.
func (c *Command) Refusal() Sense {
	if c.HasServiceAction {
		return InvalidCDBBit(1, 4)
	}
	return Illegal(InvalidCommandOperationCode)
}

// Lookup finds the command a CDB asks for. Without one it answers NoCommand
// and the sense to end with: INVALID COMMAND OPERATION CODE, or, for an
// unknown service action of a known operation code, INVALID FIELD IN CDB
// (SPC-5 §4.2.3).
func Lookup(cdb CDB) (CommandID, Sense) {
	e := &opcodes[cdb.OpCode()]
	if e.first == NoCommand || len(cdb) == 0 {
		return NoCommand, Illegal(InvalidCommandOperationCode)
	}
	if !e.serviceActions {
		return e.first, Sense{}
	}
	sa := cdb.ServiceAction()
	for id := e.first; id <= e.last; id++ {
		if Commands[id].ServiceAction == sa {
			return id, Sense{}
		}
	}
	return NoCommand, InvalidCDBBit(1, 4)
}
