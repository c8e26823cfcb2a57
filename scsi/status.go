package scsi

import "fmt"

// Status is the status a task ends with (SAM-6 §5.3.1).
type Status uint8

// Status codes (SAM-6 table 34).
const (
	StatusGood                Status = 0x00
	StatusCheckCondition      Status = 0x02
	StatusConditionMet        Status = 0x04
	StatusBusy                Status = 0x08
	StatusReservationConflict Status = 0x18
	StatusTaskSetFull         Status = 0x28
	StatusACAActive           Status = 0x30
	StatusTaskAborted         Status = 0x40
)

var statusNames = map[Status]string{
	StatusGood:                "GOOD",
	StatusCheckCondition:      "CHECK CONDITION",
	StatusConditionMet:        "CONDITION MET",
	StatusBusy:                "BUSY",
	StatusReservationConflict: "RESERVATION CONFLICT",
	StatusTaskSetFull:         "TASK SET FULL",
	StatusACAActive:           "ACA ACTIVE",
	StatusTaskAborted:         "TASK ABORTED",
}

// String gives the name the standard uses, or the code in hexadecimal.
func (s Status) String() string {
	if n, ok := statusNames[s]; ok {
		return n
	}
	return fmt.Sprintf("status %02xh", uint8(s))
}

// TaskAttribute orders a task among the others of its task set
// (SAM-6 §8.6).
type TaskAttribute uint8

// Task attributes. The values are those of the iSCSI ATTR field
// (RFC 7143 §11.3.1), so that no translation is needed.
const (
	AttributeUntagged    TaskAttribute = 0 // treated as simple
	AttributeSimple      TaskAttribute = 1
	AttributeOrdered     TaskAttribute = 2
	AttributeHeadOfQueue TaskAttribute = 3
	AttributeACA         TaskAttribute = 4
)

// TaskManagementFunction is a task management function (SAM-6 §7). The values
// are those of the iSCSI task management function request
// (RFC 7143 §11.5.1).
type TaskManagementFunction uint8

// Task management functions.
const (
	AbortTask         TaskManagementFunction = 1
	AbortTaskSet      TaskManagementFunction = 2
	ClearACA          TaskManagementFunction = 3
	ClearTaskSet      TaskManagementFunction = 4
	LogicalUnitReset  TaskManagementFunction = 5
	TargetWarmReset   TaskManagementFunction = 6
	TargetColdReset   TaskManagementFunction = 7
	TaskReassign      TaskManagementFunction = 8
	QueryTask         TaskManagementFunction = 9
	QueryTaskSet      TaskManagementFunction = 10
	ITNexusReset      TaskManagementFunction = 11
	QueryAsyncEvent   TaskManagementFunction = 12
	maxTaskManagement                        = QueryAsyncEvent
)

// FunctionResponse is the service response of a task management function
// (SAM-6 §7.1). The values are those of the iSCSI response field
// (RFC 7143 §11.6.1).
type FunctionResponse uint8

// Service responses of task management functions.
const (
	FunctionComplete     FunctionResponse = 0
	TaskDoesNotExist     FunctionResponse = 1
	LUNDoesNotExist      FunctionResponse = 2
	TaskStillAllegiant   FunctionResponse = 3
	ReassignNotSupported FunctionResponse = 4
	FunctionNotSupported FunctionResponse = 5
	AuthorizationFailed  FunctionResponse = 6
	FunctionSucceeded    FunctionResponse = 7
	FunctionRejected     FunctionResponse = 255
)
