package target_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/iscsi/target"
	"github.com/tandem-san/tandem/scsi"
)

// random makes n bytes from a seed.
func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestDataIsTheSameUnderEveryNegotiation(t *testing.T) {
	f := newFixture(t, nil)
	seed := uint64(0)
	for _, immediate := range []bool{true, false} {
		for _, initialR2T := range []bool{true, false} {
			for _, digest := range []bool{false, true} {
				for _, lengths := range [][3]int{{256 << 10, 1 << 20, 256 << 10}, {512, 1024, 512}, {4096, 5120, 1536}, {65536, 65536, 65536}} {
					name := fmt.Sprintf("ImmediateData %v, InitialR2T %v, digests %v, segment %d, bursts %d and %d", immediate, initialR2T, digest, lengths[0], lengths[1], lengths[2])
					t.Run(name, func(t *testing.T) {
						s := f.dial(func(c *initiator.Config) {
							c.NoImmediateData = !immediate
							c.InitialR2T = initialR2T
							c.HeaderDigest, c.DataDigest = digest, digest
							c.MaxRecvDataSegmentLength, c.MaxBurstLength, c.FirstBurstLength = lengths[0], lengths[1], lengths[2]
						})
						defer s.Close()
						u := s.LogicalUnit(0)
						ctx := context.Background()
						_ = u.TestUnitReady(ctx) // the unit attention of a new nexus
						for _, blocks := range []int{1, 3, 100, 2049} {
							seed++
							want := random(blocks*blockSize, seed)
							if err := u.Write(ctx, 7, uint32(blocks), want); err != nil {
								t.Fatal(err)
							}
							got := make([]byte, len(want))
							if err := u.Read(ctx, 7, uint32(blocks), got); err != nil {
								t.Fatal(err)
							}
							if !bytes.Equal(got, want) {
								t.Fatalf("%d blocks come back different", blocks)
							}
						}
					})
				}
			}
		}
	}
}

func TestManySessionsWorkSideBySide(t *testing.T) {
	f := newFixture(t, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		s := f.dial(func(c *initiator.Config) {
			c.InitiatorName = fmt.Sprintf("%s%d", initiatorName, i)
			c.DataDigest = i%2 == 0
		})
		wg.Go(func() {
			u := s.LogicalUnit(0)
			ctx := context.Background()
			_ = u.TestUnitReady(ctx)
			for round := range 50 {
				const blocks = 16
				lba := uint64(i*1000 + round*blocks)
				want := random(blocks*blockSize, lba)
				got := make([]byte, len(want))
				if err := u.Write(ctx, lba, blocks, want); err != nil {
					t.Error(err)
					return
				}
				if err := u.Read(ctx, lba, blocks, got); err != nil || !bytes.Equal(got, want) {
					t.Errorf("session %d, round %d: %v", i, round, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, s := range f.Sessions() {
		if s.Commands < 100 || s.DataIn < 50*8192 || s.DataOut < 50*8192 || s.Outstanding != 0 {
			t.Errorf("%s: %+v", s.Initiator, s.Counters)
		}
	}
}

func TestStatusTravelsWithTheLastData(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn("MaxRecvDataSegmentLength", "1024", "MaxBurstLength", "2560")
	c.ready()
	p := c.command(read16(0, 10)) // 5120 bytes in bursts of 2560
	p.Read, p.ExpectedDataTransferLength = true, 5120
	c.send(p, nil)
	offset := uint32(0)
	for i, want := range []struct {
		length int
		final  bool
	}{{1024, false}, {1024, false}, {512, true}, {1024, false}, {1024, false}, {512, true}} {
		h, data := c.expect(iscsi.OpDataIn)
		var d iscsi.DataIn
		d.Decode(h)
		last := i == 5
		if len(data) != want.length || d.Final != want.final || d.DataSN != uint32(i) || d.BufferOffset != offset || d.HasStatus != last {
			t.Errorf("Data-In %d: %d bytes, %+v", i, len(data), d)
		}
		if last && (d.Status != scsi.StatusGood || d.MaxCmdSN-d.ExpCmdSN != 127) {
			t.Errorf("status %v, window %d to %d", d.Status, d.ExpCmdSN, d.MaxCmdSN)
		}
		offset += uint32(len(data))
	}
	c.ping()
}

func TestResidualsAreCounted(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn()
	c.ready()
	for _, x := range []struct {
		name     string
		expected uint32
		blocks   byte
		length   int
		want     iscsi.Residual
	}{
		{"as expected", 1024, 2, 1024, iscsi.Residual{}},
		{"less than expected", 2000, 2, 1024, iscsi.Residual{Underflow: true, Count: 976}},
		{"more than expected", 600, 2, 600, iscsi.Residual{Overflow: true, Count: 424}},
	} {
		p := c.command(read16(0, x.blocks))
		p.Read, p.ExpectedDataTransferLength = true, x.expected
		c.send(p, nil)
		h, data := c.expect(iscsi.OpDataIn)
		var d iscsi.DataIn
		d.Decode(h)
		if len(data) != x.length || d.Residual != x.want || !d.HasStatus {
			t.Errorf("%s: %d bytes, %+v", x.name, len(data), d.Residual)
		}
	}
	p := c.command(read16(0, 1)) // of which the initiator wants nothing
	c.send(p, nil)
	if r, _ := c.response(); r.Status != scsi.StatusGood || r.Residual != (iscsi.Residual{Overflow: true, Count: 512}) {
		t.Errorf("no data wanted: %+v", r)
	}
	w := c.command(write16(0, 1))
	w.Write, w.ExpectedDataTransferLength = true, 1024
	c.send(w, make([]byte, 1024))
	if r, _ := c.response(); r.Status != scsi.StatusGood || r.Residual != (iscsi.Residual{Underflow: true, Count: 512}) {
		t.Errorf("write of less than was sent: %+v", r)
	}
	bad := c.command([]byte{0x88, 2: 1, 13: 1, 15: 0}) // far behind the end
	bad.Read, bad.ExpectedDataTransferLength = true, 512
	c.send(bad, nil)
	r, sense := c.response()
	if r.Status != scsi.StatusCheckCondition || sense.Key != scsi.IllegalRequest || r.Residual != (iscsi.Residual{Underflow: true, Count: 512}) {
		t.Errorf("failed read: %+v, %v", r, sense)
	}
}

func TestR2TsAskForWhatIsMissing(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn("InitialR2T", "No", "FirstBurstLength", "1024", "MaxBurstLength", "2048", "MaxOutstandingR2T", "2")
	c.ready()
	data := random(8192, 1)
	w := c.command(write16(0, 16))
	w.Write, w.Final, w.ExpectedDataTransferLength = true, false, 8192
	c.send(w, data[:512]) // immediate
	out := iscsi.DataOut{Final: true, InitiatorTaskTag: w.InitiatorTaskTag, TargetTransferTag: iscsi.NoTag, BufferOffset: 512}
	c.send(out, data[512:1024]) // unsolicited
	offset := uint32(1024)
	var waiting []iscsi.R2T
	for sn := uint32(0); offset < 8192; {
		for len(waiting) < 2 && offset+2048*uint32(len(waiting)) < 8192 {
			h, _ := c.expect(iscsi.OpR2T)
			var r iscsi.R2T
			r.Decode(h)
			start := offset + 2048*uint32(len(waiting))
			if r.R2TSN != sn || r.BufferOffset != start || r.DesiredDataTransferLength != min(2048, 8192-start) || r.InitiatorTaskTag != w.InitiatorTaskTag {
				t.Fatalf("R2T %+v, want number %d from %d", r, sn, start)
			}
			sn++
			waiting = append(waiting, r)
		}
		r := waiting[0]
		waiting = waiting[1:]
		half := r.DesiredDataTransferLength / 2
		o := iscsi.DataOut{InitiatorTaskTag: w.InitiatorTaskTag, TargetTransferTag: r.TargetTransferTag, BufferOffset: offset}
		c.send(o, data[offset:][:half])
		o.DataSN, o.Final, o.BufferOffset = 1, true, offset+half
		offset += r.DesiredDataTransferLength
		c.send(o, data[o.BufferOffset:offset])
	}
	if r, sense := c.response(); r.Status != scsi.StatusGood || r.ExpDataSN != 4 {
		t.Fatalf("%+v, %v", r, sense)
	}
	if got := c.read(0, 16); !bytes.Equal(got, data) {
		t.Error("something else was written")
	}
}

func TestBrokenDataOutEndsTheCommandAndWritesNothing(t *testing.T) {
	f := newFixture(t, nil)
	type out = iscsi.DataOut
	for _, x := range []struct {
		name   string
		change func(*out)
		length int
		want   scsi.ASC
	}{
		{"DataSN", func(o *out) { o.DataSN = 5 }, 1024, 0x4705},
		{"buffer offset", func(o *out) { o.BufferOffset = 512 }, 512, 0x4705},
		{"buffer offset beyond the end", func(o *out) { o.BufferOffset = 0xfffffff0 }, 1024, 0x4705},
		{"too much", func(o *out) {}, 1536, 0x0c0d},
		{"too little", func(o *out) {}, 512, 0x0c0d},
	} {
		for _, solicited := range []bool{true, false} {
			if x.name == "too little" && !solicited {
				continue // R2T asks for the rest
			}
			t.Run(fmt.Sprintf("%s, solicited %v", x.name, solicited), func(t *testing.T) {
				c := f.connect()
				c.t = t
				c.logIn("InitialR2T", "No", "FirstBurstLength", "1024")
				c.ready()
				w := c.command(write16(100, 2))
				w.Write, w.ExpectedDataTransferLength, w.Final = true, 1024, solicited
				c.send(w, nil)
				o := out{Final: true, InitiatorTaskTag: w.InitiatorTaskTag, TargetTransferTag: iscsi.NoTag}
				if solicited {
					h, _ := c.expect(iscsi.OpR2T)
					var r iscsi.R2T
					r.Decode(h)
					o.TargetTransferTag = r.TargetTransferTag
				}
				x.change(&o)
				c.send(o, bytes.Repeat([]byte{0xee}, x.length))
				if r, sense := c.response(); r.Status != scsi.StatusCheckCondition || sense.Key != scsi.AbortedCommand || sense.ASC != x.want {
					t.Errorf("%v, %v", r.Status, sense)
				}
				if bytes.Contains(c.read(100, 2), []byte{0xee}) {
					t.Error("the data was written")
				}
			})
		}
	}
}

func TestDataThatWasNotAgreedOnIsRefused(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn("ImmediateData", "No", "InitialR2T", "Yes", "FirstBurstLength", "512")
	c.ready()
	for name, x := range map[string]struct {
		change func(*iscsi.SCSICommand)
		length int
		want   scsi.ASC
	}{
		"immediate data":               {func(p *iscsi.SCSICommand) {}, 512, 0x0c0c},
		"unsolicited data":             {func(p *iscsi.SCSICommand) { p.Final = false }, 0, 0x0c0c},
		"immediate data with a read":   {func(p *iscsi.SCSICommand) { p.Write, p.Read = false, true }, 512, 0x0c0c},
		"data with no write or a read": {func(p *iscsi.SCSICommand) { p.Write = false }, 512, 0x0c0c},
	} {
		w := c.command(write16(0, 1))
		w.Write, w.ExpectedDataTransferLength = true, 512
		x.change(&w)
		c.send(w, make([]byte, x.length))
		if r, sense := c.response(); r.Status != scsi.StatusCheckCondition || sense.ASC != x.want {
			t.Errorf("%s: %v, %v", name, r.Status, sense)
		}
	}
	c = f.connect()
	c.isid[5]++
	c.logIn("FirstBurstLength", "512")
	c.ready()
	w := c.command(write16(0, 2))
	w.Write, w.ExpectedDataTransferLength = true, 1024
	c.send(w, make([]byte, 1024))
	if r, sense := c.response(); r.Status != scsi.StatusCheckCondition || sense.ASC != 0x0c0d {
		t.Errorf("more than FirstBurstLength: %v, %v", r.Status, sense)
	}
	c.ping()
}

func TestASpentPoolIsTaskSetFull(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn()
	c.ready()
	hog := f.pool.Get(60 << 20)
	w := c.command(write16(0, 0))
	w.CDB[11] = 1 // 65536 blocks
	w.Write, w.ExpectedDataTransferLength = true, 8<<20
	c.send(w, nil)
	if r, _ := c.response(); r.Status != scsi.StatusTaskSetFull {
		t.Error(r.Status)
	}
	hog.Release()
}

func TestASessionHoldsNoMoreThanItsShare(t *testing.T) {
	f := newFixture(t, func(_ *target.Config, o *target.Options) { o.Limits.DataOutPerSession = 64 << 10 })
	c := f.connect()
	c.logIn()
	c.ready()
	write := func() {
		w := c.command(write16(0, 96))
		w.Write, w.ExpectedDataTransferLength = true, 48<<10
		c.send(w, nil)
	}
	write()
	c.expect(iscsi.OpR2T)
	write()
	if r, _ := c.response(); r.Status != scsi.StatusTaskSetFull {
		t.Error(r.Status)
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn()
	c.ready()
	run := c.steady(8)
	if n := testing.AllocsPerRun(200, run); n > 0.5 {
		t.Errorf("%v allocations for 8 reads and 8 writes", n)
	}
}

// steady makes a function that does depth reads and writes of 4 KiB, all sent
// at once, and allocates nothing itself.
func (c *client) steady(depth int) (run func()) {
	var out bytes.Buffer
	var headers []int
	for i := range 2 * depth {
		p := iscsi.SCSICommand{Final: true, Attribute: scsi.AttributeSimple, InitiatorTaskTag: uint32(1000 + i), ExpectedDataTransferLength: 4096}
		var data []byte
		if i%2 == 0 {
			p.Read = true
			copy(p.CDB[:], read16(byte(8*i), 8))
		} else {
			p.Write = true
			copy(p.CDB[:], write16(byte(8*i), 8))
			data = make([]byte, 4096)
		}
		headers = append(headers, out.Len())
		o := iscsi.Outgoing{Data: data}
		p.Encode(o.Header())
		for _, b := range o.AppendTo(nil, iscsi.Digests{}) {
			out.Write(b)
		}
	}
	wire := out.Bytes()
	return func() {
		for _, at := range headers {
			h := (*iscsi.BHS)(wire[at:])
			h.SetExpStatSN(c.statSN)
			h[24], h[25], h[26], h[27] = byte(c.cmdSN>>24), byte(c.cmdSN>>16), byte(c.cmdSN>>8), byte(c.cmdSN)
			c.cmdSN++
		}
		if _, err := c.conn.Write(wire); err != nil {
			c.t.Fatal(err)
		}
		for range headers {
			h, _, err := c.reader.ReadHeader()
			if err != nil {
				c.t.Fatal(err)
			}
			if op := h.Opcode(); op != iscsi.OpDataIn && op != iscsi.OpSCSIResponse || h[3] != 0 {
				c.t.Fatalf("%v with status %d", op, h[3])
			}
			if err := c.reader.Discard(); err != nil {
				c.t.Fatal(err)
			}
		}
	}
}

func BenchmarkCommands(b *testing.B) {
	for _, depth := range []int{1, 32} {
		b.Run(fmt.Sprintf("depth %d", 2*depth), func(b *testing.B) {
			f := newFixture(b, nil)
			c := f.connect()
			c.logIn()
			c.ready()
			run := c.steady(depth)
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}
