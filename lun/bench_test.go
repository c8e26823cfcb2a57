package lun_test

import (
	"testing"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// sink is a transport that does nothing but tell.
type sink struct{ done chan struct{} }

func (s sink) ReceiveDataOut(*lun.Task, int) { panic("data-out was asked for") }

func (s sink) CommandComplete(t *lun.Task) {
	t.Release()
	s.done <- struct{}{}
}

func benchmark(b *testing.B, cdb, out []byte, in int) {
	f := setup(b, testConfig(), nil)
	s := sink{make(chan struct{}, 1)}
	task := command(alice, cdb, out, in)
	task.Transport = s
	f.unit.Submit(task)
	<-s.done
	b.SetBytes(int64(max(len(out), in)))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		f.unit.Submit(task)
		<-s.done
		if task.Status != scsi.StatusGood {
			b.Fatal(task.Status, task.Sense)
		}
	}
}

func BenchmarkRead4K(b *testing.B)  { benchmark(b, read10(8, 8), nil, 8*testBlock) }
func BenchmarkWrite4K(b *testing.B) { benchmark(b, write10(8, 8), blocks('b', 8), 0) }

func TestReadsAndWritesAllocateNothing(t *testing.T) {
	f := setup(t, testConfig(), nil)
	s := sink{make(chan struct{}, 1)}
	for _, task := range []*lun.Task{
		command(alice, read10(8, 8), nil, 8*testBlock),
		command(alice, write10(8, 8), blocks('b', 8), 0),
	} {
		task.Transport = s
		run := func() {
			f.unit.Submit(task)
			<-s.done
		}
		run()
		run()
		if n := testing.AllocsPerRun(100, run); n > 0 {
			t.Errorf("%s allocates %v times", name(task.CDB), n)
		}
	}
}
