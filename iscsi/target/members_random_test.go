package target_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/target"
	"github.com/tandem-san/tandem/scsi"
)

// model is what a session of several connections should be like: the writes
// that wait for data, by connection, and what was acknowledged last in each
// block.
type model struct {
	*several
	waiting [][]iscsi.SCSICommand
	blocks  map[byte]byte
	count   byte
}

// write writes a block and sees it acknowledged.
func (m *model) writeBlock(i int, lba byte) {
	m.count++
	m.c[i].send(m.write(i, lba), bytes.Repeat([]byte{m.count}, blockSize))
	if r, sense := m.c[i].response(); r.Status != scsi.StatusGood {
		m.t.Fatalf("write: %v, %v", r.Status, sense)
	}
	m.blocks[lba] = m.count
}

// lose ends a connection, or has a new one take its place, and joins again.
func (m *model) lose(i int, abruptly bool) {
	if abruptly {
		_ = m.c[i].conn.Close()
	}
	c, status := m.join(uint16(100 + i))
	if status != iscsi.LoginSuccess {
		m.t.Fatal(status)
	}
	m.c[i], m.waiting[i] = c, nil
}

// abort aborts the oldest waiting write of a connection through another one.
func (m *model) abort(i, through int) {
	w := m.waiting[i][0]
	m.waiting[i] = m.waiting[i][1:]
	m.ask(through, iscsi.TaskRequest{Function: scsi.AbortTask, ReferencedTaskTag: w.InitiatorTaskTag, RefCmdSN: w.CmdSN})
	for o := range m.c {
		if o != through {
			m.pong(o)
		}
	}
	if r := m.functionResponse(through); r != scsi.FunctionComplete {
		m.t.Errorf("abort: %v", r)
	}
}

// outstanding is how many commands should be.
func (m *model) outstanding() (n int) {
	for _, w := range m.waiting {
		n += len(w)
	}
	return n
}

func TestWhateverHappensToItsConnectionsASessionKeepsItsWord(t *testing.T) {
	const window = 12
	rapid.Check(t, func(r *rapid.T) {
		m := &model{several: newSeveral(t, 3, func(o *target.Options) { o.Limits.Commands = window }), waiting: make([][]iscsi.SCSICommand, 3), blocks: map[byte]byte{}}
		// The first is lost like the others: its CID is to be known.
		m.c[0].send(iscsi.LogoutRequest{Reason: iscsi.CloseConnection, CID: 7, InitiatorTaskTag: m.c[0].nextITT(), CmdSN: m.sn}, nil)
		m.sn++
		m.c[0].expectClosed(0)
		m.lose(0, false)
		for range rapid.IntRange(1, 25).Draw(r, "steps") {
			i := rapid.IntRange(0, 2).Draw(r, "connection")
			switch rapid.IntRange(0, 4).Draw(r, "step") {
			case 0:
				m.writeBlock(i, byte(20+rapid.IntRange(0, 3).Draw(r, "block")))
			case 1:
				if m.outstanding() < window-2 {
					m.waiting[i] = append(m.waiting[i], m.pending(i))
				}
			case 2:
				m.lose(i, true)
			case 3:
				m.lose(i, false)
			case 4:
				if len(m.waiting[i]) > 0 {
					m.abort(i, rapid.IntRange(0, 2).Draw(r, "through"))
				}
			}
		}
		eventually(t, "only what waits is outstanding", func() bool {
			s := m.Sessions()
			return len(s) == 1 && s[0].Connections == 3 && s[0].Outstanding == m.outstanding()
		})
		m.c[1].cmdSN = m.sn
		for lba, value := range m.blocks {
			if data := m.c[1].read(lba, 1); data[0] != value {
				t.Fatalf("block %d holds %d, acknowledged was %d", lba, data[0], value)
			}
		}
		for _, c := range m.c {
			_ = c.conn.Close()
		}
		eventually(t, "the session ends", func() bool { return len(m.Sessions()) == 0 })
	})
}
