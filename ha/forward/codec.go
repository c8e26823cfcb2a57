package forward

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/tandem-san/tandem/ha/link"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// Kinds is the number of frame kinds that are this package's: those below it.
// Other users of the data stream number theirs from here on.
const Kinds = 16

// Kinds of frame. Request names the command or function on the secondary, and
// Epoch is the epoch it was routed by.
const (
	// To the primary.
	kindSubmit    = 1 // head: command; body: the data-out there is
	kindDataOut   = 2 // head: offset; body: data-out
	kindManage    = 3 // head: management
	kindNexusLost = 4 // head: management, of which the nexus counts
	kindAdmit     = 8 // head: how much data-out there is, command
	kindGathered  = 9 // head: how much data-out there is now
	kindMoved     = 11
	// To the secondary.
	kindReceive  = 5  // head: how much data-out the command calls for
	kindComplete = 6  // head: result; body: data-in
	kindManaged  = 7  // flags: the function response
	kindTicket   = 10 // head: ticket
)

// flagReturned is the flag of kindMoved: the data was not moved, and will not
// be.
const flagReturned = 1 << 0

// Flags of kindTicket: see lun.Move.
const (
	flagWrite = 1 << 0
	flagSync  = 1 << 1
)

// Flags of kindSubmit and kindAdmit: see the fields of lun.Task of these names.
const (
	flagScanning = 1 << 0
	flagAsked    = 1 << 1 // HandoverAsked
	flagCopies   = 1 << 2 // CopyManager
)

// Flags of kindComplete.
const (
	flagAborted   = 1 << 0
	flagNotServed = 1 << 1
	flagUncertain = 1 << 2
	// flagFixedSense: the sense data, which travels in descriptor format, is
	// for fixed format.
	flagFixedSense = 1 << 3
	// flagHandover: HandoverAsked of lun.Task.
	flagHandover = 1 << 4
)

// Limits of what is sent.
const (
	// MaxTransfer is the most data one command may move in one direction, in
	// bytes. The transfer limit of a logical unit must not be above it.
	MaxTransfer = link.MaxBody
	// MaxName is the longest name of a logical unit, in bytes.
	MaxName = 255
	// maxPortName is the longest name of an initiator port, in bytes.
	maxPortName = 1024
	// maxLease is the longest time a secondary is allowed to move data for.
	maxLease = time.Minute
	// minBlock is the smallest logical block, in bytes.
	minBlock = 512
	// maxCDB is the longest CDB there is (SPC-5 §4.2.3).
	maxCDB = 260
)

var errFrame = errors.New("malformed frame")

// command is the head of a kindSubmit frame. Decoded, it refers to the head.
type command struct {
	unit, port              []byte
	target                  uint16
	tag                     uint64
	attribute               scsi.TaskAttribute
	expectedOut, expectedIn int
	cdb                     []byte
}

// appendCommand appends the head for a task.
func appendCommand(b []byte, unit string, t *lun.Task) []byte {
	b = appendNexus(b, unit, t.Nexus)
	b = binary.BigEndian.AppendUint64(b, t.Tag)
	b = append(b, byte(t.Attribute))
	b = binary.BigEndian.AppendUint64(b, uint64(max(t.ExpectedOut, 0)))
	b = binary.BigEndian.AppendUint64(b, uint64(max(t.ExpectedIn, 0)))
	return append(b, t.CDB...)
}

func decodeCommand(b []byte) (c command, err error) {
	if c.unit, c.port, c.target, b, err = cutNexus(b); err != nil || len(b) < 25 {
		return command{}, errFrame
	}
	out, in := binary.BigEndian.Uint64(b[9:]), binary.BigEndian.Uint64(b[17:])
	c.tag, c.attribute, c.cdb = binary.BigEndian.Uint64(b), scsi.TaskAttribute(b[8]), b[25:]
	c.expectedOut, c.expectedIn = int(out), int(in)
	if c.expectedOut < 0 || c.expectedIn < 0 || len(c.cdb) == 0 || len(c.cdb) > maxCDB {
		return command{}, errFrame
	}
	return c, nil
}

// appendNexus appends what names a nexus of a unit.
func appendNexus(b []byte, unit string, n lun.Nexus) []byte {
	b = append(append(b, byte(len(unit))), unit...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(n.InitiatorPort))), n.InitiatorPort...)
	return binary.BigEndian.AppendUint16(b, n.TargetPort)
}

func cutNexus(b []byte) (unit, port []byte, target uint16, rest []byte, err error) {
	if len(b) < 1 || len(b) < 1+int(b[0])+2 {
		return nil, nil, 0, nil, errFrame
	}
	unit, b = b[1:1+int(b[0])], b[1+int(b[0]):]
	n := int(binary.BigEndian.Uint16(b))
	if n > maxPortName || len(b) < 2+n+2 {
		return nil, nil, 0, nil, errFrame
	}
	port, b = b[2:2+n], b[2+n:]
	return unit, port, binary.BigEndian.Uint16(b), b[2:], nil
}

// management is the head of a kindManage or kindNexusLost frame.
type management struct {
	unit, port []byte
	target     uint16
	tag        uint64
	function   scsi.TaskManagementFunction
}

func appendManagement(b []byte, unit string, m lun.Management) []byte {
	b = appendNexus(b, unit, m.Nexus)
	return append(binary.BigEndian.AppendUint64(b, m.Tag), byte(m.Function))
}

func decodeManagement(b []byte) (m management, err error) {
	if m.unit, m.port, m.target, b, err = cutNexus(b); err != nil || len(b) != 9 {
		return management{}, errFrame
	}
	m.tag, m.function = binary.BigEndian.Uint64(b), scsi.TaskManagementFunction(b[8])
	return m, nil
}

// result is the head of a kindComplete frame.
type result struct {
	status   scsi.Status
	transfer int
	sense    scsi.Sense
}

// appendResult appends the head for a finished task and answers the flags.
func appendResult(b []byte, t *lun.Task) ([]byte, uint8) {
	var flags uint8
	if t.Aborted {
		flags |= flagAborted
	}
	if t.NotServed {
		flags |= flagNotServed
	}
	if t.Uncertain {
		flags |= flagUncertain
	}
	if t.HandoverAsked {
		flags |= flagHandover
	}
	b = append(b, byte(t.Status))
	b = binary.BigEndian.AppendUint64(b, uint64(max(t.Transfer, 0)))
	if t.Status == scsi.StatusCheckCondition {
		sense := t.Sense
		if !sense.DescriptorFormat {
			flags |= flagFixedSense
		}
		sense.DescriptorFormat = true // it has room for everything
		b = scsi.AppendSense(b, sense)
	}
	return b, flags
}

func decodeResult(b []byte, flags uint8) (result, error) {
	if len(b) < 9 {
		return result{}, errFrame
	}
	r := result{status: scsi.Status(b[0]), transfer: int(binary.BigEndian.Uint64(b[1:]))}
	if r.transfer < 0 {
		return result{}, errFrame
	}
	if r.status == scsi.StatusCheckCondition {
		var err error
		if r.sense, err = scsi.DecodeSense(b[9:]); err != nil {
			return result{}, errFrame
		}
		r.sense.DescriptorFormat = flags&flagFixedSense == 0
	}
	return r, nil
}

// ticket is the head of a kindTicket frame: what the secondary may move, and
// for how long after it sent the request that this answers.
type ticket struct {
	move     lun.Move
	transfer int // what the command calls for, in bytes
	lease    time.Duration
}

func appendTicket(b []byte, k ticket) ([]byte, uint8) {
	var flags uint8
	if k.move.Write {
		flags |= flagWrite
	}
	if k.move.Sync {
		flags |= flagSync
	}
	for _, v := range []uint64{k.move.LBA, k.move.Blocks, uint64(k.transfer), uint64(k.lease)} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b, flags
}

func decodeTicket(b []byte, flags uint8) (ticket, error) {
	if len(b) != 32 || flags&^(flagWrite|flagSync) != 0 {
		return ticket{}, errFrame
	}
	k := ticket{
		move: lun.Move{
			LBA: binary.BigEndian.Uint64(b), Blocks: binary.BigEndian.Uint64(b[8:]),
			Write: flags&flagWrite != 0, Sync: flags&flagSync != 0,
		},
		transfer: int(binary.BigEndian.Uint64(b[16:])), lease: time.Duration(binary.BigEndian.Uint64(b[24:])),
	}
	if k.transfer < 0 || k.lease <= 0 || k.lease > maxLease ||
		k.move.Blocks == 0 || k.move.Blocks > MaxTransfer/minBlock || k.move.LBA > math.MaxInt64/MaxTransfer {
		return ticket{}, errFrame
	}
	return k, nil
}

// appendCount appends the head of kindDataOut, kindReceive and kindGathered, and
// the beginning of that of kindAdmit: a number of bytes.
func appendCount(b []byte, n int) []byte { return binary.BigEndian.AppendUint64(b, uint64(n)) }

func decodeCount(b []byte) (int, error) {
	if len(b) != 8 || binary.BigEndian.Uint64(b) > MaxTransfer {
		return 0, errFrame
	}
	return int(binary.BigEndian.Uint64(b)), nil
}
