package scsi

import "fmt"

// Additional sense codes used by Tandem, with the names of SPC-5 annex F.
const (
	NoAdditionalSenseInformation ASC = 0x0000

	LogicalUnitCommunicationFailure                         ASC = 0x0800
	LogicalUnitNotReadyCauseNotReportable                   ASC = 0x0400
	LogicalUnitIsInProcessOfBecomingReady                   ASC = 0x0401
	LogicalUnitNotReadyInitializingCommandRequired          ASC = 0x0402
	LogicalUnitNotAccessibleAsymmetricAccessStateTransition ASC = 0x040A
	LogicalUnitNotAccessibleTargetPortInStandbyState        ASC = 0x040B
	LogicalUnitNotAccessibleTargetPortInUnavailableState    ASC = 0x040C

	PeripheralDeviceWriteFault  ASC = 0x0300
	WriteError                  ASC = 0x0C00
	InvalidFieldInCommandIU     ASC = 0x0E03
	UnrecoveredReadError        ASC = 0x1100
	ParameterListLengthError    ASC = 0x1A00
	MiscompareDuringVerify      ASC = 0x1D00
	InvalidCommandOperationCode ASC = 0x2000
	LBAOutOfRange               ASC = 0x2100
	InvalidFieldInCDB           ASC = 0x2400
	LogicalUnitNotSupported     ASC = 0x2500

	InvalidFieldInParameterList           ASC = 0x2600
	ParameterNotSupported                 ASC = 0x2601
	ParameterValueInvalid                 ASC = 0x2602
	InvalidReleaseOfPersistentReservation ASC = 0x2604

	WriteProtected                         ASC = 0x2700
	SoftwareWriteProtected                 ASC = 0x2702
	SpaceAllocationFailedWriteProtect      ASC = 0x2707
	NotReadyToReadyChange                  ASC = 0x2800
	PowerOnResetOrBusDeviceResetOccurred   ASC = 0x2900
	PowerOnOccurred                        ASC = 0x2901
	SCSIBusResetOccurred                   ASC = 0x2902
	BusDeviceResetFunctionOccurred         ASC = 0x2903
	ITNexusLossOccurred                    ASC = 0x2907
	ParametersChanged                      ASC = 0x2A00
	ModeParametersChanged                  ASC = 0x2A01
	ReservationsPreempted                  ASC = 0x2A03
	ReservationsReleased                   ASC = 0x2A04
	RegistrationsPreempted                 ASC = 0x2A05
	AsymmetricAccessStateChanged           ASC = 0x2A06
	CapacityDataHasChanged                 ASC = 0x2A09
	CommandSequenceError                   ASC = 0x2C00
	CommandsClearedByAnotherInitiator      ASC = 0x2F00
	CommandsClearedByDeviceServer          ASC = 0x2F02
	SavingParametersNotSupported           ASC = 0x3900
	MediumNotPresent                       ASC = 0x3A00
	TargetOperatingConditionsHaveChanged   ASC = 0x3F00
	InquiryDataHasChanged                  ASC = 0x3F03
	ReportedLUNsDataHasChanged             ASC = 0x3F0E
	InternalTargetFailure                  ASC = 0x4400
	OverlappedCommandsAttempted            ASC = 0x4E00
	InsufficientResources                  ASC = 0x5503
	InsufficientRegistrationResources      ASC = 0x5504
	FailurePredictionThresholdExceeded     ASC = 0x5D00
	FailurePredictionThresholdExceededTest ASC = 0x5DFF
	SetTargetPortGroupsCommandFailed       ASC = 0x670A

	OperationInProgress                   ASC = 0x0016
	LogicalUnitNotReadyFormatInProgress   ASC = 0x0404
	LogicalUnitNotReadySanitizeInProgress ASC = 0x041B
	UnreachableCopyTarget                 ASC = 0x0804
	ThirdPartyDeviceFailure               ASC = 0x0D01
	CopyTargetDeviceNotReachable          ASC = 0x0D02
	IncorrectCopyTargetDeviceType         ASC = 0x0D03
	InvalidTokenUnknown                   ASC = 0x2304
	InvalidTokenCorrupt                   ASC = 0x2305
	InvalidTokenRevoked                   ASC = 0x2306
	InvalidTokenExpired                   ASC = 0x2307
	InvalidTokenCancelled                 ASC = 0x2308
	InvalidTokenDeleted                   ASC = 0x2309
	InvalidTokenLength                    ASC = 0x230A
	TooManyTargetDescriptors              ASC = 0x2606
	UnsupportedTargetDescriptorTypeCode   ASC = 0x2607
	TooManySegmentDescriptors             ASC = 0x2608
	UnsupportedSegmentDescriptorTypeCode  ASC = 0x2609
	CopySegmentGranularityViolation       ASC = 0x260D
	TimestampChanged                      ASC = 0x2A10
	MediumFormatCorrupted                 ASC = 0x3100
	SanitizeCommandFailed                 ASC = 0x3103
	ThinProvisioningSoftThresholdReached  ASC = 0x3807
	LogicalUnitFailedSelfTest             ASC = 0x3E03
	DeviceIdentifierChanged               ASC = 0x3F05
	MediumRemovalPrevented                ASC = 0x5302
)

var ascNames = map[ASC]string{
	NoAdditionalSenseInformation:                            "NO ADDITIONAL SENSE INFORMATION",
	LogicalUnitCommunicationFailure:                         "LOGICAL UNIT COMMUNICATION FAILURE",
	LogicalUnitNotReadyCauseNotReportable:                   "LOGICAL UNIT NOT READY, CAUSE NOT REPORTABLE",
	LogicalUnitIsInProcessOfBecomingReady:                   "LOGICAL UNIT IS IN PROCESS OF BECOMING READY",
	LogicalUnitNotReadyInitializingCommandRequired:          "LOGICAL UNIT NOT READY, INITIALIZING COMMAND REQUIRED",
	LogicalUnitNotAccessibleAsymmetricAccessStateTransition: "LOGICAL UNIT NOT ACCESSIBLE, ASYMMETRIC ACCESS STATE TRANSITION",
	LogicalUnitNotAccessibleTargetPortInStandbyState:        "LOGICAL UNIT NOT ACCESSIBLE, TARGET PORT IN STANDBY STATE",
	LogicalUnitNotAccessibleTargetPortInUnavailableState:    "LOGICAL UNIT NOT ACCESSIBLE, TARGET PORT IN UNAVAILABLE STATE",
	PeripheralDeviceWriteFault:                              "PERIPHERAL DEVICE WRITE FAULT",
	WriteError:                                              "WRITE ERROR",
	InvalidFieldInCommandIU:                                 "INVALID FIELD IN COMMAND INFORMATION UNIT",
	UnrecoveredReadError:                                    "UNRECOVERED READ ERROR",
	ParameterListLengthError:                                "PARAMETER LIST LENGTH ERROR",
	MiscompareDuringVerify:                                  "MISCOMPARE DURING VERIFY OPERATION",
	InvalidCommandOperationCode:                             "INVALID COMMAND OPERATION CODE",
	LBAOutOfRange:                                           "LOGICAL BLOCK ADDRESS OUT OF RANGE",
	InvalidFieldInCDB:                                       "INVALID FIELD IN CDB",
	LogicalUnitNotSupported:                                 "LOGICAL UNIT NOT SUPPORTED",
	InvalidFieldInParameterList:                             "INVALID FIELD IN PARAMETER LIST",
	ParameterNotSupported:                                   "PARAMETER NOT SUPPORTED",
	ParameterValueInvalid:                                   "PARAMETER VALUE INVALID",
	InvalidReleaseOfPersistentReservation:                   "INVALID RELEASE OF PERSISTENT RESERVATION",
	WriteProtected:                                          "WRITE PROTECTED",
	SoftwareWriteProtected:                                  "LOGICAL UNIT SOFTWARE WRITE PROTECTED",
	SpaceAllocationFailedWriteProtect:                       "SPACE ALLOCATION FAILED WRITE PROTECT",
	NotReadyToReadyChange:                                   "NOT READY TO READY CHANGE, MEDIUM MAY HAVE CHANGED",
	PowerOnResetOrBusDeviceResetOccurred:                    "POWER ON, RESET, OR BUS DEVICE RESET OCCURRED",
	PowerOnOccurred:                                         "POWER ON OCCURRED",
	SCSIBusResetOccurred:                                    "SCSI BUS RESET OCCURRED",
	BusDeviceResetFunctionOccurred:                          "BUS DEVICE RESET FUNCTION OCCURRED",
	ITNexusLossOccurred:                                     "I_T NEXUS LOSS OCCURRED",
	ParametersChanged:                                       "PARAMETERS CHANGED",
	ModeParametersChanged:                                   "MODE PARAMETERS CHANGED",
	ReservationsPreempted:                                   "RESERVATIONS PREEMPTED",
	ReservationsReleased:                                    "RESERVATIONS RELEASED",
	RegistrationsPreempted:                                  "REGISTRATIONS PREEMPTED",
	AsymmetricAccessStateChanged:                            "ASYMMETRIC ACCESS STATE CHANGED",
	CapacityDataHasChanged:                                  "CAPACITY DATA HAS CHANGED",
	CommandSequenceError:                                    "COMMAND SEQUENCE ERROR",
	CommandsClearedByAnotherInitiator:                       "COMMANDS CLEARED BY ANOTHER INITIATOR",
	CommandsClearedByDeviceServer:                           "COMMANDS CLEARED BY DEVICE SERVER",
	SavingParametersNotSupported:                            "SAVING PARAMETERS NOT SUPPORTED",
	MediumNotPresent:                                        "MEDIUM NOT PRESENT",
	TargetOperatingConditionsHaveChanged:                    "TARGET OPERATING CONDITIONS HAVE CHANGED",
	InquiryDataHasChanged:                                   "INQUIRY DATA HAS CHANGED",
	ReportedLUNsDataHasChanged:                              "REPORTED LUNS DATA HAS CHANGED",
	InternalTargetFailure:                                   "INTERNAL TARGET FAILURE",
	OverlappedCommandsAttempted:                             "OVERLAPPED COMMANDS ATTEMPTED",
	InsufficientResources:                                   "INSUFFICIENT RESOURCES",
	InsufficientRegistrationResources:                       "INSUFFICIENT REGISTRATION RESOURCES",
	FailurePredictionThresholdExceeded:                      "FAILURE PREDICTION THRESHOLD EXCEEDED",
	SetTargetPortGroupsCommandFailed:                        "SET TARGET PORT GROUPS COMMAND FAILED",
	FailurePredictionThresholdExceededTest:                  "FAILURE PREDICTION THRESHOLD EXCEEDED (FALSE)",
	OperationInProgress:                                     "OPERATION IN PROGRESS",
	LogicalUnitNotReadyFormatInProgress:                     "LOGICAL UNIT NOT READY, FORMAT IN PROGRESS",
	LogicalUnitNotReadySanitizeInProgress:                   "LOGICAL UNIT NOT READY, SANITIZE IN PROGRESS",
	UnreachableCopyTarget:                                   "UNREACHABLE COPY TARGET",
	ThirdPartyDeviceFailure:                                 "THIRD PARTY DEVICE FAILURE",
	CopyTargetDeviceNotReachable:                            "COPY TARGET DEVICE NOT REACHABLE",
	IncorrectCopyTargetDeviceType:                           "INCORRECT COPY TARGET DEVICE TYPE",
	InvalidTokenUnknown:                                     "INVALID TOKEN OPERATION, TOKEN UNKNOWN",
	InvalidTokenCorrupt:                                     "INVALID TOKEN OPERATION, TOKEN CORRUPT",
	InvalidTokenRevoked:                                     "INVALID TOKEN OPERATION, TOKEN REVOKED",
	InvalidTokenExpired:                                     "INVALID TOKEN OPERATION, TOKEN EXPIRED",
	InvalidTokenCancelled:                                   "INVALID TOKEN OPERATION, TOKEN CANCELLED",
	InvalidTokenDeleted:                                     "INVALID TOKEN OPERATION, TOKEN DELETED",
	InvalidTokenLength:                                      "INVALID TOKEN OPERATION, INVALID TOKEN LENGTH",
	TooManyTargetDescriptors:                                "TOO MANY TARGET DESCRIPTORS",
	UnsupportedTargetDescriptorTypeCode:                     "UNSUPPORTED TARGET DESCRIPTOR TYPE CODE",
	TooManySegmentDescriptors:                               "TOO MANY SEGMENT DESCRIPTORS",
	UnsupportedSegmentDescriptorTypeCode:                    "UNSUPPORTED SEGMENT DESCRIPTOR TYPE CODE",
	CopySegmentGranularityViolation:                         "COPY SEGMENT GRANULARITY VIOLATION",
	TimestampChanged:                                        "TIMESTAMP CHANGED",
	MediumFormatCorrupted:                                   "MEDIUM FORMAT CORRUPTED",
	SanitizeCommandFailed:                                   "SANITIZE COMMAND FAILED",
	ThinProvisioningSoftThresholdReached:                    "THIN PROVISIONING SOFT THRESHOLD REACHED",
	LogicalUnitFailedSelfTest:                               "LOGICAL UNIT FAILED SELF-TEST",
	DeviceIdentifierChanged:                                 "DEVICE IDENTIFIER CHANGED",
	MediumRemovalPrevented:                                  "MEDIUM REMOVAL PREVENTED",
}

// String gives the name the standard uses, or the codes in hexadecimal.
func (a ASC) String() string {
	if n, ok := ascNames[a]; ok {
		return n
	}
	return fmt.Sprintf("additional sense %02Xh/%02Xh", uint8(a>>8), uint8(a))
}

var senseKeyNames = [16]string{
	"NO SENSE", "RECOVERED ERROR", "NOT READY", "MEDIUM ERROR", "HARDWARE ERROR", "ILLEGAL REQUEST",
	"UNIT ATTENTION", "DATA PROTECT", "BLANK CHECK", "VENDOR SPECIFIC", "COPY ABORTED", "ABORTED COMMAND",
	"RESERVED", "VOLUME OVERFLOW", "MISCOMPARE", "COMPLETED",
}

// String gives the name the standard uses.
func (k SenseKey) String() string { return senseKeyNames[k&0xF] }
