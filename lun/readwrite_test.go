package lun_test

import (
	"bytes"
	"testing"

	"github.com/tandem-san/tandem/scsi"
)

func TestTheFirstCommandOfANewNexusMeetsPowerOnOccurred(t *testing.T) {
	f := setup(t, testConfig(), nil)
	f.good(t, alice, inquiry(false, 0, 96), nil)
	f.bad(t, alice, testUnitReady(), nil, scsi.UnitAttention, scsi.PowerOnOccurred)
	f.good(t, alice, testUnitReady(), nil)
	f.bad(t, bob, testUnitReady(), nil, scsi.UnitAttention, scsi.PowerOnOccurred)
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	f := ready(t, testConfig())
	data := bytes.Repeat([]byte("tandem!!"), 8*testBlock/8)
	f.good(t, alice, write10(16, 8), data)
	if got := f.good(t, bob, read16(16, 8), nil); !bytes.Equal(got, data) {
		t.Fatal("READ(16) answered other data than WRITE(10) wrote")
	}
	if got := f.good(t, bob, []byte{0x08, 0, 0, 17, 1, 0}, nil); !bytes.Equal(got, data[testBlock:2*testBlock]) {
		t.Fatal("READ(6) answered other data")
	}
}

func TestDataOutIsAskedForWhenItIsNotAllThere(t *testing.T) {
	f := ready(t, testConfig())
	data := bytes.Repeat([]byte{7}, 4*testBlock)
	task := command(alice, write10(0, 4), data[:testBlock], 0)
	task.ExpectedOut = len(data)
	f.out[task] = data
	f.submit(task)
	f.wait(t, task)
	if task.Status != scsi.StatusGood || len(f.asked) != 1 {
		t.Fatalf("WRITE(10) ended with %v after %d requests for data-out", task.Status, len(f.asked))
	}
	if got := f.good(t, alice, read10(0, 4), nil); !bytes.Equal(got, data) {
		t.Fatal("not all data-out was written")
	}
}
