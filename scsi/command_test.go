package scsi

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestEveryCommandIsFoundByItsCDB(t *testing.T) {
	names := map[string]bool{}
	for id := NoCommand + 1; id < NumCommands; id++ {
		c := &Commands[id]
		if c.Name == "" || names[c.Name] {
			t.Errorf("command %d: name %q is empty or taken", id, c.Name)
		}
		names[c.Name] = true
		if len(c.Usage) == 0 || c.Usage[0] != c.OpCode || len(c.Usage) != CDB(c.Usage).Length() {
			t.Errorf("%s: usage data % X does not fit operation code %02Xh", c.Name, c.Usage, c.OpCode)
			continue
		}
		if c.HasServiceAction && CDB(c.Usage).ServiceAction() != c.ServiceAction {
			t.Errorf("%s: usage data has service action %02Xh, want %02Xh", c.Name, CDB(c.Usage).ServiceAction(), c.ServiceAction)
		}
		if got, _ := Lookup(c.Usage); got != id {
			t.Errorf("%s: its CDB is looked up as %s", c.Name, Commands[got].Name)
		}
		if c.Timeout == 0 {
			t.Errorf("%s: no timeout", c.Name)
		}
	}
}

func TestTheTableIsInOrder(t *testing.T) {
	for id := NoCommand + 2; id < NumCommands; id++ {
		p, c := &Commands[id-1], &Commands[id]
		if p.OpCode > c.OpCode || p.OpCode == c.OpCode && (p.ServiceAction >= c.ServiceAction || !p.HasServiceAction || !c.HasServiceAction) {
			t.Errorf("%s comes after %s", c.Name, p.Name)
		}
	}
}

func TestWritesGoOutAndReadsComeIn(t *testing.T) {
	for id := NoCommand + 1; id < NumCommands; id++ {
		c := &Commands[id]
		if c.Effect == EffectWrites && (c.Direction != DataOut || c.Conflict != ConflictWrites || c.Access != 0) {
			t.Errorf("%s writes, but its direction, conflicts or access states are not a write's", c.Name)
		}
		if c.ByPort && (c.Effect != EffectNone || c.Access&OnStandby == 0) {
			t.Errorf("%s is answered by any port, but has an effect or is not allowed on standby", c.Name)
		}
	}
}

func TestUnknownOperationCodesAndServiceActionsAreRefused(t *testing.T) {
	for _, tc := range []struct {
		cdb  CDB
		want Sense
	}{
		{CDB{0xC0, 0, 0, 0, 0, 0}, Illegal(InvalidCommandOperationCode)},
		{CDB{0x02, 0, 0, 0, 0, 0}, Illegal(InvalidCommandOperationCode)},
		{CDB{}, Illegal(InvalidCommandOperationCode)},
		{CDB{0x5E, 0x04, 0, 0, 0, 0, 0, 0, 0, 0}, InvalidCDBBit(1, 4)},
		{CDB{0xA3, 0x1F, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, InvalidCDBBit(1, 4)},
	} {
		if id, s := Lookup(tc.cdb); id != NoCommand || s != tc.want {
			t.Errorf("% X: looked up as %q with %v, want %v", []byte(tc.cdb), Commands[id].Name, s, tc.want)
		}
	}
}

func TestABitOutsideTheUsageDataIsPointedAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &Commands[rapid.IntRange(int(NoCommand)+1, int(NumCommands)-1).Draw(t, "command")]
		cdb := CDB(bytes.Clone(c.Usage))
		if s, ok := c.Check(cdb); !ok {
			t.Fatalf("%s: its own usage data is refused: %v", c.Name, s)
		}
		i := rapid.IntRange(1, len(cdb)-1).Draw(t, "byte")
		bit := rapid.IntRange(0, 7).Draw(t, "bit")
		allowed := c.Usage[i]
		if i == 1 && c.HasServiceAction {
			allowed |= 0x1F
		}
		cdb[i] |= 1 << bit
		s, ok := c.Check(cdb)
		if allowed>>bit&1 != 0 {
			if !ok {
				t.Fatalf("%s: byte %d bit %d is refused: %v", c.Name, i, bit, s)
			}
			return
		}
		if ok || s != InvalidCDBBit(i, uint8(bit)) {
			t.Fatalf("%s: byte %d bit %d: got %v", c.Name, i, bit, s)
		}
	})
}

func TestShortCDBsAreRefused(t *testing.T) {
	for id := NoCommand + 1; id < NumCommands; id++ {
		c := &Commands[id]
		if _, ok := c.Check(c.Usage[:len(c.Usage)-1]); ok {
			t.Errorf("%s: a CDB one byte short is taken", c.Name)
		}
	}
}

func TestConflictsFollowTheStandardsTable(t *testing.T) {
	start, stop := CDB{0x1B, 0, 0, 0, 1, 0}, CDB{0x1B, 0, 0, 0, 0, 0}
	always, never := "CCCCCC", "......"
	// One letter for each type: write exclusive, exclusive access, then the
	// registrants only and the all registrants types; C is a conflict.
	for _, tc := range []struct {
		id           CommandID
		cdb          CDB
		unregistered string
		registered   string
	}{
		{CmdTestUnitReady, nil, never, never},
		{CmdInquiry, nil, never, never},
		{CmdRequestSense, nil, never, never},
		{CmdReportLUNs, nil, never, never},
		{CmdReportTargetPortGroups, nil, never, never},
		{CmdReadCapacity10, nil, never, never},
		{CmdReadKeys, nil, never, never},
		{CmdLogSense, nil, never, never},
		{CmdModeSense6, nil, ".C.C.C", ".C...."},
		{CmdModeSelect6, nil, always, "CC...."},
		{CmdRead10, nil, ".C.C.C", ".C...."},
		{CmdRead16, nil, ".C.C.C", ".C...."},
		{CmdVerify10, nil, ".C.C.C", ".C...."},
		{CmdPreFetch10, nil, ".C.C.C", ".C...."},
		{CmdGetLBAStatus, nil, ".C.C.C", ".C...."},
		{CmdReportSupportedOperationCodes, nil, ".C.C.C", ".C...."},
		{CmdWrite10, nil, always, "CC...."},
		{CmdWriteSame16, nil, always, "CC...."},
		{CmdUnmap, nil, always, "CC...."},
		{CmdSetTargetPortGroups, nil, always, "CC...."},
		{CmdCompareAndWrite, nil, always, "CC...."},
		{CmdSynchronizeCache10, nil, always, "CC...."},
		{CmdORWrite16, nil, always, "CC...."},
		{CmdWriteAtomic16, nil, always, "CC...."},
		{CmdFormatUnit, nil, always, "CC...."},
		{CmdSanitizeOverwrite, nil, always, "CC...."},
		{CmdExtendedCopy, nil, always, "CC...."},
		{CmdWriteUsingToken, nil, always, "CC...."},
		{CmdPopulateToken, nil, ".C.C.C", ".C...."},
		{CmdReceiveCopyStatus, nil, never, never},
		{CmdReadDefectData10, nil, ".C.C.C", ".C...."},
		{CmdReadBuffer, nil, ".C.C.C", ".C...."},
		{CmdWriteBuffer, nil, always, "CC...."},
		{CmdSendDiagnostic, nil, always, "CC...."},
		{CmdReportTimestamp, nil, never, never},
		{CmdSetTimestamp, nil, always, "CC...."},
		{CmdReportIdentifyingInformation, nil, never, never},
		{CmdSetIdentifyingInformation, nil, always, "CC...."},
		{CmdPreventAllowMediumRemoval, CDB{0x1E, 0, 0, 0, 0, 0}, never, never},
		{CmdPreventAllowMediumRemoval, CDB{0x1E, 0, 0, 0, 1, 0}, always, "CC...."},
		{CmdStartStopUnit, start, never, never},
		{CmdStartStopUnit, stop, always, "CC...."},
	} {
		c := &Commands[tc.id]
		for i, kind := range []ReservationType{
			WriteExclusive, ExclusiveAccess, WriteExclusiveRegistrantsOnly, ExclusiveAccessRegistrantsOnly,
			WriteExclusiveAllRegistrants, ExclusiveAccessAllRegistrants,
		} {
			if got, want := c.Conflicts(tc.cdb, kind, false), tc.unregistered[i] == 'C'; got != want {
				t.Errorf("%s, type %Xh, not registered: conflict is %t", c.Name, uint8(kind), got)
			}
			if got, want := c.Conflicts(tc.cdb, kind, true), tc.registered[i] == 'C'; got != want {
				t.Errorf("%s, type %Xh, registered: conflict is %t", c.Name, uint8(kind), got)
			}
		}
	}
}

func TestAccessStatesAllowWhatTheStandardSays(t *testing.T) {
	for _, tc := range []struct {
		id                                  CommandID
		standby, unavailable, transitioning bool
	}{
		{CmdInquiry, true, true, true},
		{CmdReportLUNs, true, true, true},
		{CmdRequestSense, true, true, true},
		{CmdReportTargetPortGroups, true, true, true},
		{CmdSetTargetPortGroups, true, true, false},
		{CmdModeSense10, true, false, false},
		{CmdModeSelect10, true, false, false},
		{CmdLogSense, true, false, false},
		{CmdReadKeys, true, false, false},
		{CmdRegister, true, false, false},
		{CmdReadBuffer, true, false, false},
		{CmdSendDiagnostic, true, false, false},
		{CmdReceiveCopyStatus, true, false, false},
		{CmdExtendedCopy, false, false, false},
		{CmdSanitizeOverwrite, false, false, false},
		{CmdTestUnitReady, false, false, false},
		{CmdRead10, false, false, false},
		{CmdWrite10, false, false, false},
		{CmdReadCapacity16, false, false, false},
		{NoCommand, false, false, false},
	} {
		c := &Commands[tc.id]
		for _, s := range []struct {
			state AccessState
			taken bool
			asc   ASC
		}{
			{ActiveOptimized, true, 0},
			{ActiveNonOptimized, true, 0},
			{Standby, tc.standby, 0x040B},
			{Unavailable, tc.unavailable, 0x040C},
			{Transitioning, tc.transitioning, 0x040A},
		} {
			sense, refused := s.state.Refusal(c)
			if refused == s.taken {
				t.Errorf("%s on a port that is %v: refused is %t", c.Name, s.state, refused)
			}
			if refused && (sense.Key != NotReady || sense.ASC != s.asc) {
				t.Errorf("%s on a port that is %v: %v", c.Name, s.state, sense)
			}
		}
	}
}

func TestFieldsAreReadAtTheirPlaces(t *testing.T) {
	for _, tc := range []struct {
		cdb    CDB
		lba    uint64
		length uint32
		group  uint8
	}{
		{CDB{0x08, 0xFF, 0x12, 0x34, 0x56, 0}, 0x1F1234, 0x56, 0},
		{CDB{0x08, 0, 0, 0, 0, 0}, 0, 256, 0},
		{CDB{0x28, 0, 1, 2, 3, 4, 0xC5, 6, 7, 0}, 0x01020304, 0x0607, 5},
		{CDB{0xA8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0}, 0x01020304, 0x05060708, 9},
		{CDB{0x88, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0}, 0x0102030405060708, 0x090A0B0C, 13},
		{append(CDB{0x7F, 0, 0, 0, 0, 0, 3, 24, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7}, make([]byte, 12)...), 7, 0, 3},
		{CDB{0x28, 0}, 0, 0, 0},
	} {
		if got := tc.cdb.LBA(); got != tc.lba {
			t.Errorf("% X: LBA %X, want %X", []byte(tc.cdb), got, tc.lba)
		}
		if got := tc.cdb.TransferLength(); got != tc.length {
			t.Errorf("% X: transfer length %X, want %X", []byte(tc.cdb), got, tc.length)
		}
		if got := tc.cdb.GroupNumber(); got != tc.group {
			t.Errorf("% X: group number %d, want %d", []byte(tc.cdb), got, tc.group)
		}
	}
	if got := (CDB{0x12, 0, 0, 1, 2, 0}).AllocationLength(); got != 0x102 {
		t.Errorf("INQUIRY: allocation length %X", got)
	}
	if got := (CDB{0x5F, 0, 0, 0, 0, 1, 2, 3, 4, 0}).AllocationLength(); got != 0x01020304 {
		t.Errorf("PERSISTENT RESERVE OUT: parameter list length %X", got)
	}
}

func FuzzCDB(f *testing.F) {
	for id := NoCommand + 1; id < NumCommands; id++ {
		f.Add(Commands[id].Usage)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := CDB(b)
		c.LBA()
		c.TransferLength()
		c.AllocationLength()
		c.GroupNumber()
		c.Control()
		c.ServiceAction()
		id, s := Lookup(c)
		if (id == NoCommand) != (s.Key == IllegalRequest) {
			t.Fatalf("command %d with %v", id, s)
		}
		Commands[id].Check(c)
	})
}
