package lun

import "github.com/tandem-san/tandem/scsi"

// Sizes of the buffers of READ BUFFER and WRITE BUFFER, in bytes.
const (
	dataBufferBytes = 64 << 10
	echoBufferBytes = 4 << 10
)

// buffers are what WRITE BUFFER writes to. They are the brain's: what was
// written does not go with it to another controller, as the standard allows
// (SPC-5 §6.18.4). The lock of the unit protects them.
type buffers struct {
	data []byte // nil until it is written
	echo []byte // what was written last; nil before
}

// readBuffer: READ BUFFER(10) (SPC-5 §6.18).
func readBuffer(b *brain, t *Task) bool {
	r := scsi.BufferOf(t.CDB)
	if r.Mode != scsi.BufferEcho && r.Mode != scsi.BufferEchoDescriptor && r.ID != 0 {
		t.check(scsi.InvalidCDBField(2))
		return false
	}
	switch r.Mode {
	case scsi.BufferDescriptor:
		b.unit.reply(t, scsi.AppendBufferDescriptor(nil, dataBufferBytes), r.Length)
	case scsi.BufferEchoDescriptor:
		b.unit.reply(t, scsi.AppendEchoBufferDescriptor(nil, echoBufferBytes), r.Length)
	case scsi.BufferEcho:
		if b.buffers.echo == nil {
			t.check(scsi.Illegal(scsi.CommandSequenceError))
			return false
		}
		b.unit.reply(t, b.buffers.echo, r.Length)
	case scsi.BufferData:
		if r.Offset >= dataBufferBytes {
			t.check(scsi.InvalidCDBField(3))
			return false
		}
		data := b.buffers.data
		if data == nil {
			data = make([]byte, dataBufferBytes)
		}
		b.unit.reply(t, data[r.Offset:], r.Length)
	default:
		t.check(scsi.InvalidCDBBit(1, 4))
	}
	return false
}

// prepareWriteBuffer: WRITE BUFFER (SPC-5 §6.52), to the data buffer and the
// echo buffer. There is no microcode to load.
func prepareWriteBuffer(_ *brain, t *Task) bool {
	w := scsi.BufferOf(t.CDB)
	switch w.Mode {
	case scsi.BufferData:
		switch {
		case w.ID != 0:
			t.check(scsi.InvalidCDBField(2))
		case w.Offset > dataBufferBytes:
			t.check(scsi.InvalidCDBField(3))
		case w.Length > dataBufferBytes-w.Offset:
			t.check(scsi.InvalidCDBField(6))
		}
	case scsi.BufferEcho:
		if w.Length > echoBufferBytes {
			t.check(scsi.InvalidCDBField(6))
		}
	default:
		t.check(scsi.InvalidCDBBit(1, 4))
	}
	t.state.need, t.Transfer = int(w.Length), int(w.Length)
	return t.Status == scsi.StatusGood && w.Length > 0
}

func writeBuffer(b *brain, t *Task) {
	b.unit.mu.Lock()
	defer b.unit.mu.Unlock()
	w := scsi.BufferOf(t.CDB)
	data := t.DataOut[:t.state.need]
	if w.Mode == scsi.BufferEcho {
		b.buffers.echo = append(make([]byte, 0, len(data)), data...)
		return
	}
	if b.buffers.data == nil {
		b.buffers.data = make([]byte, dataBufferBytes)
	}
	copy(b.buffers.data[w.Offset:], data)
}
