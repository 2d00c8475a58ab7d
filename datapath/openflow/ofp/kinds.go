// SPDX-License-Identifier: Apache-2.0

package ofp

// The kinds, in the order of their OpenFlow 1.5 numbers. The comment of each
// family in the specifications (OpenFlow 1.5, 7.5.4) says what they mean; the
// numbers are compared with those that the stock ovs-ofctl prints by
// TestKindsStock.
const (
	NoError Kind = iota
	HFCIncompatible
	HFCEperm
	BRCBadVersion
	BRCBadType
	BRCBadStat
	BRCBadVendor
	BRCBadSubtype
	BRCEperm
	BRCBadLen
	BRCBufferEmpty
	BRCBufferUnknown
	BRCBadTableId
	BRCIsSecondary
	BRCBadPort
	BRCBadPacket
	BRCMultipartBufferOverflow
	BRCMultipartRequestTimeout
	BRCMultipartReplyTimeout
	BRCMultipartBadSched
	BRCPipelineFieldsOnly
	BRCUnknown
	BACBadType
	BACBadLen
	BACBadVendor
	BACBadVendorType
	BACBadOutPort
	BACBadArgument
	BACEperm
	BACTooMany
	BACBadQueue
	BACBadOutGroup
	BACMatchInconsistent
	BACUnsupportedOrder
	BACBadTag
	BACBadSetType
	BACBadSetLen
	BACBadSetArgument
	BACBadSetMask
	BACBadMeter
	BICUnknownInst
	BICUnsupInst
	BICBadTableId
	BICUnsupMetadata
	FMFCBadEmergTimeout
	BICUnsupMetadataMask
	BICBadExperimenter
	FMFCUnsupported
	BICBadExpType
	BICBadLen
	BICEperm
	BICDupInst
	BMCBadType
	BMCBadLen
	BMCBadTag
	BMCBadDlAddrMask
	BMCBadNwAddrMask
	BMCBadWildcards
	BMCBadField
	BMCBadValue
	BMCBadMask
	BMCBadPrereq
	BMCDupField
	BMCEperm
	FMFCUnknown
	FMFCTableFull
	FMFCBadTableId
	FMFCOverlap
	FMFCEperm
	FMFCBadTimeout
	FMFCBadCommand
	FMFCBadFlags
	FMFCCantSync
	FMFCBadPriority
	FMFCIsSync
	GMFCGroupExists
	GMFCInvalidGroup
	GMFCWeightUnsupported
	GMFCOutOfGroups
	GMFCOutOfBuckets
	GMFCChainingUnsupported
	GMFCWatchUnsupported
	GMFCLoop
	GMFCUnknownGroup
	GMFCChainedGroup
	GMFCBadType
	GMFCBadCommand
	GMFCBadBucket
	GMFCBadWatch
	GMFCEperm
	GMFCUnknownBucket
	GMFCBucketExists
	PMFCBadPort
	PMFCBadHwAddr
	PMFCBadConfig
	PMFCBadAdvertise
	PMFCEperm
	TMFCBadTable
	TMFCBadConfig
	TMFCEperm
	QOFCBadPort
	QOFCBadQueue
	QOFCEperm
	SCFCBadFlags
	SCFCBadLen
	SCFCEperm
	RRFCStale
	RRFCUnsup
	RRFCBadRole
	RRFCIdUnsup
	RRFCIdInUse
	MMFCUnknown
	MMFCMeterExists
	MMFCInvalidMeter
	MMFCUnknownMeter
	MMFCBadCommand
	MMFCBadFlags
	MMFCBadRate
	MMFCBadBurst
	MMFCBadBand
	MMFCBadBandValue
	MMFCOutOfMeters
	MMFCOutOfBands
	TFFCBadTable
	TFFCBadMetadata
	TFFCEperm
	TFFCBadCapa
	TFFCBadMaxEnt
	TFFCBadFeatures
	TFFCBadCommand
	TFFCTooMany
	BPCBadType
	BPCBadLen
	BPCBadValue
	BPCTooMany
	BPCDupType
	BPCBadExperimenter
	BPCBadExpType
	BPCBadExpValue
	BPCEperm
	ACFCInvalid
	ACFCUnsupported
	ACFCEperm
	MOFCUnknown
	MOFCMonitorExists
	MOFCInvalidMonitor
	MOFCUnknownMonitor
	MOFCBadCommand
	MOFCBadFlags
	MOFCBadTableId
	MOFCBadOut
	BFCUnknown
	BFCEperm
	BFCBadId
	BFCBundleExist
	BFCBundleClosed
	BFCOutOfBundles
	BFCBadType
	BFCBadFlags
	BFCMsgBadLen
	BFCMsgBadXid
	BFCMsgUnsup
	BFCMsgConflict
	BFCMsgTooMany
	BFCMsgFailed
	BFCTimeout
	BFCBundleInProgress
	BFCSchedNotSupported
	BFCSchedFuture
	BFCSchedPast
	NXBRCNxmInvalid
	NXBRCNxmBadType
	NXBRCMustBeZero
	NXBRCBadReason
	NXBRCFmBadEvent
	NXBRCUnencodableError
	NXBACMustBeZero
	NXFMFCHardware
	NXFMFCBadTableId
	NXBACBadConjunction
	NXTTMFCBadCommand
	NXTTMFCBadOptLen
	NXTTMFCBadFieldIdx
	NXTTMFCTableFull
	NXTTMFCAlreadyMapped
	NXTTMFCDupEntry
	BFCBadVersion
	NXQOFCQueueError
	NXRNotSupported
	NXRStale
	NXSTNotConfigured
	NXFMFCInvalidTlvField
	NXTTMFCInvalidTlvDel
	NXBACBadHeaderType
	NXBACUnknownEdProp
	NXBACBadEdProp
	NXBACCtDatapathSupport
	NXBMCCtDatapathSupport
	NXTFFCDupTable

	numKinds
)

// kinds is indexed by Kind. Each row holds the first version of every stretch
// of versions with the same numbers; vendor none says that those have no such
// error.
var kinds = [numKinds]kindInfo{
	HFCIncompatible:            {"OFPHFC_INCOMPATIBLE", []stretch{{V10, 0, 0, 0}}},
	HFCEperm:                   {"OFPHFC_EPERM", []stretch{{V10, 0, 0, 1}}},
	BRCBadVersion:              {"OFPBRC_BAD_VERSION", []stretch{{V10, 0, 1, 0}}},
	BRCBadType:                 {"OFPBRC_BAD_TYPE", []stretch{{V10, 0, 1, 1}}},
	BRCBadStat:                 {"OFPBRC_BAD_STAT", []stretch{{V10, 0, 1, 2}}},
	BRCBadVendor:               {"OFPBRC_BAD_VENDOR", []stretch{{V10, 0, 1, 3}}},
	BRCBadSubtype:              {"OFPBRC_BAD_SUBTYPE", []stretch{{V10, 0, 1, 4}}},
	BRCEperm:                   {"OFPBRC_EPERM", []stretch{{V10, 0, 1, 5}}},
	BRCBadLen:                  {"OFPBRC_BAD_LEN", []stretch{{V10, 0, 1, 6}}},
	BRCBufferEmpty:             {"OFPBRC_BUFFER_EMPTY", []stretch{{V10, 0, 1, 7}}},
	BRCBufferUnknown:           {"OFPBRC_BUFFER_UNKNOWN", []stretch{{V10, 0, 1, 8}}},
	BRCBadTableId:              {"OFPBRC_BAD_TABLE_ID", []stretch{{V10, nicira, 1, 512}, {V11, 0, 1, 9}}},
	BRCIsSecondary:             {"OFPBRC_IS_SECONDARY", []stretch{{V10, 0, 1, 5}, {V12, 0, 1, 10}}},
	BRCBadPort:                 {"OFPBRC_BAD_PORT", []stretch{{V10, nicira, 1, 514}, {V12, 0, 1, 11}}},
	BRCBadPacket:               {"OFPBRC_BAD_PACKET", []stretch{{V12, 0, 1, 12}}},
	BRCMultipartBufferOverflow: {"OFPBRC_MULTIPART_BUFFER_OVERFLOW", []stretch{{V13, 0, 1, 13}}},
	BRCMultipartRequestTimeout: {"OFPBRC_MULTIPART_REQUEST_TIMEOUT", []stretch{{V13, onf, 2640, 0}, {V14, 0, 1, 14}}},
	BRCMultipartReplyTimeout:   {"OFPBRC_MULTIPART_REPLY_TIMEOUT", []stretch{{V13, onf, 2641, 0}, {V14, 0, 1, 15}}},
	BRCMultipartBadSched:       {"OFPBRC_MULTIPART_BAD_SCHED", []stretch{{V15, 0, 1, 16}}},
	BRCPipelineFieldsOnly:      {"OFPBRC_PIPELINE_FIELDS_ONLY", []stretch{{V15, 0, 1, 17}}},
	BRCUnknown:                 {"OFPBRC_UNKNOWN", []stretch{{V15, 0, 1, 18}}},
	BACBadType:                 {"OFPBAC_BAD_TYPE", []stretch{{V10, 0, 2, 0}}},
	BACBadLen:                  {"OFPBAC_BAD_LEN", []stretch{{V10, 0, 2, 1}}},
	BACBadVendor:               {"OFPBAC_BAD_VENDOR", []stretch{{V10, 0, 2, 2}}},
	BACBadVendorType:           {"OFPBAC_BAD_VENDOR_TYPE", []stretch{{V10, 0, 2, 3}}},
	BACBadOutPort:              {"OFPBAC_BAD_OUT_PORT", []stretch{{V10, 0, 2, 4}}},
	BACBadArgument:             {"OFPBAC_BAD_ARGUMENT", []stretch{{V10, 0, 2, 5}}},
	BACEperm:                   {"OFPBAC_EPERM", []stretch{{V10, 0, 2, 6}}},
	BACTooMany:                 {"OFPBAC_TOO_MANY", []stretch{{V10, 0, 2, 7}}},
	BACBadQueue:                {"OFPBAC_BAD_QUEUE", []stretch{{V10, 0, 2, 8}}},
	BACBadOutGroup:             {"OFPBAC_BAD_OUT_GROUP", []stretch{{V10, nicira, 2, 9}, {V11, 0, 2, 9}}},
	BACMatchInconsistent:       {"OFPBAC_MATCH_INCONSISTENT", []stretch{{V10, nicira, 1, 522}, {V11, 0, 2, 10}}},
	BACUnsupportedOrder:        {"OFPBAC_UNSUPPORTED_ORDER", []stretch{{V11, 0, 2, 11}}},
	BACBadTag:                  {"OFPBAC_BAD_TAG", []stretch{{V11, 0, 2, 12}}},
	BACBadSetType:              {"OFPBAC_BAD_SET_TYPE", []stretch{{V10, nicira, 1, 523}, {V12, 0, 2, 13}}},
	BACBadSetLen:               {"OFPBAC_BAD_SET_LEN", []stretch{{V10, nicira, 1, 524}, {V12, 0, 2, 14}}},
	BACBadSetArgument:          {"OFPBAC_BAD_SET_ARGUMENT", []stretch{{V10, nicira, 1, 525}, {V12, 0, 2, 15}}},
	BACBadSetMask:              {"OFPBAC_BAD_SET_MASK", []stretch{{V13, onf, 4250, 0}, {V15, 0, 2, 16}}},
	BACBadMeter:                {"OFPBAC_BAD_METER", []stretch{{V15, 0, 2, 17}}},
	BICUnknownInst:             {"OFPBIC_UNKNOWN_INST", []stretch{{V11, 0, 3, 0}}},
	BICUnsupInst:               {"OFPBIC_UNSUP_INST", []stretch{{V10, nicira, 2, 257}, {V11, 0, 3, 1}}},
	BICBadTableId:              {"OFPBIC_BAD_TABLE_ID", []stretch{{V11, 0, 3, 2}}},
	BICUnsupMetadata:           {"OFPBIC_UNSUP_METADATA", []stretch{{V11, 0, 3, 3}}},
	FMFCBadEmergTimeout:        {"OFPFMFC_BAD_EMERG_TIMEOUT", []stretch{{V10, 0, 3, 3}, {V11, none, 0, 0}}},
	BICUnsupMetadataMask:       {"OFPBIC_UNSUP_METADATA_MASK", []stretch{{V11, 0, 3, 4}}},
	BICBadExperimenter:         {"OFPBIC_BAD_EXPERIMENTER", []stretch{{V11, 0, 3, 5}}},
	FMFCUnsupported:            {"OFPFMFC_UNSUPPORTED", []stretch{{V10, 0, 3, 5}, {V11, none, 0, 0}}},
	BICBadExpType:              {"OFPBIC_BAD_EXP_TYPE", []stretch{{V11, 0, 3, 5}, {V12, 0, 3, 6}}},
	BICBadLen:                  {"OFPBIC_BAD_LEN", []stretch{{V12, 0, 3, 7}}},
	BICEperm:                   {"OFPBIC_EPERM", []stretch{{V12, 0, 3, 8}}},
	BICDupInst:                 {"OFPBIC_DUP_INST", []stretch{{V11, nicira, 3, 256}, {V12, onf, 2600, 0}, {V14, 0, 3, 9}}},
	BMCBadType:                 {"OFPBMC_BAD_TYPE", []stretch{{V11, 0, 4, 0}}},
	BMCBadLen:                  {"OFPBMC_BAD_LEN", []stretch{{V11, 0, 4, 1}}},
	BMCBadTag:                  {"OFPBMC_BAD_TAG", []stretch{{V11, 0, 4, 2}}},
	BMCBadDlAddrMask:           {"OFPBMC_BAD_DL_ADDR_MASK", []stretch{{V11, 0, 4, 3}}},
	BMCBadNwAddrMask:           {"OFPBMC_BAD_NW_ADDR_MASK", []stretch{{V11, 0, 4, 4}}},
	BMCBadWildcards:            {"OFPBMC_BAD_WILDCARDS", []stretch{{V10, nicira, 1, 262}, {V11, 0, 4, 5}}},
	BMCBadField:                {"OFPBMC_BAD_FIELD", []stretch{{V10, nicira, 0, 263}, {V11, 0, 4, 6}}},
	BMCBadValue:                {"OFPBMC_BAD_VALUE", []stretch{{V10, nicira, 1, 258}, {V11, 0, 4, 7}}},
	BMCBadMask:                 {"OFPBMC_BAD_MASK", []stretch{{V10, nicira, 1, 259}, {V12, 0, 4, 8}}},
	BMCBadPrereq:               {"OFPBMC_BAD_PREREQ", []stretch{{V10, nicira, 1, 260}, {V12, 0, 4, 9}}},
	BMCDupField:                {"OFPBMC_DUP_FIELD", []stretch{{V10, nicira, 1, 261}, {V12, 0, 4, 10}}},
	BMCEperm:                   {"OFPBMC_EPERM", []stretch{{V12, 0, 4, 11}}},
	FMFCUnknown:                {"OFPFMFC_UNKNOWN", []stretch{{V11, 0, 5, 0}}},
	FMFCTableFull:              {"OFPFMFC_TABLE_FULL", []stretch{{V10, 0, 3, 0}, {V11, 0, 5, 1}}},
	FMFCBadTableId:             {"OFPFMFC_BAD_TABLE_ID", []stretch{{V11, 0, 5, 2}}},
	FMFCOverlap:                {"OFPFMFC_OVERLAP", []stretch{{V10, 0, 3, 1}, {V11, 0, 5, 3}}},
	FMFCEperm:                  {"OFPFMFC_EPERM", []stretch{{V10, 0, 3, 2}, {V11, 0, 5, 4}}},
	FMFCBadTimeout:             {"OFPFMFC_BAD_TIMEOUT", []stretch{{V11, 0, 5, 5}}},
	FMFCBadCommand:             {"OFPFMFC_BAD_COMMAND", []stretch{{V10, 0, 3, 4}, {V11, 0, 5, 6}}},
	FMFCBadFlags:               {"OFPFMFC_BAD_FLAGS", []stretch{{V10, nicira, 3, 258}, {V11, nicira, 5, 258}, {V12, 0, 5, 7}}},
	FMFCCantSync:               {"OFPFMFC_CANT_SYNC", []stretch{{V14, 0, 5, 8}}},
	FMFCBadPriority:            {"OFPFMFC_BAD_PRIORITY", []stretch{{V13, onf, 2360, 0}, {V14, 0, 5, 9}}},
	FMFCIsSync:                 {"OFPFMFC_IS_SYNC", []stretch{{V14, 0, 5, 10}}},
	GMFCGroupExists:            {"OFPGMFC_GROUP_EXISTS", []stretch{{V10, nicira, 6, 0}, {V11, 0, 6, 0}}},
	GMFCInvalidGroup:           {"OFPGMFC_INVALID_GROUP", []stretch{{V10, nicira, 6, 1}, {V11, 0, 6, 1}}},
	GMFCWeightUnsupported:      {"OFPGMFC_WEIGHT_UNSUPPORTED", []stretch{{V10, nicira, 6, 2}, {V11, 0, 6, 2}}},
	GMFCOutOfGroups:            {"OFPGMFC_OUT_OF_GROUPS", []stretch{{V10, nicira, 6, 3}, {V11, 0, 6, 3}}},
	GMFCOutOfBuckets:           {"OFPGMFC_OUT_OF_BUCKETS", []stretch{{V10, nicira, 6, 4}, {V11, 0, 6, 4}}},
	GMFCChainingUnsupported:    {"OFPGMFC_CHAINING_UNSUPPORTED", []stretch{{V10, nicira, 6, 5}, {V11, 0, 6, 5}}},
	GMFCWatchUnsupported:       {"OFPGMFC_WATCH_UNSUPPORTED", []stretch{{V10, nicira, 6, 6}, {V11, 0, 6, 6}}},
	GMFCLoop:                   {"OFPGMFC_LOOP", []stretch{{V10, nicira, 6, 7}, {V11, 0, 6, 7}}},
	GMFCUnknownGroup:           {"OFPGMFC_UNKNOWN_GROUP", []stretch{{V10, nicira, 6, 8}, {V11, 0, 6, 8}}},
	GMFCChainedGroup:           {"OFPGMFC_CHAINED_GROUP", []stretch{{V10, nicira, 6, 9}, {V11, none, 0, 0}, {V12, 0, 6, 9}}},
	GMFCBadType:                {"OFPGMFC_BAD_TYPE", []stretch{{V10, nicira, 6, 10}, {V11, none, 0, 0}, {V12, 0, 6, 10}}},
	GMFCBadCommand:             {"OFPGMFC_BAD_COMMAND", []stretch{{V10, nicira, 6, 11}, {V11, none, 0, 0}, {V12, 0, 6, 11}}},
	GMFCBadBucket:              {"OFPGMFC_BAD_BUCKET", []stretch{{V10, nicira, 6, 12}, {V11, none, 0, 0}, {V12, 0, 6, 12}}},
	GMFCBadWatch:               {"OFPGMFC_BAD_WATCH", []stretch{{V10, nicira, 6, 13}, {V11, none, 0, 0}, {V12, 0, 6, 13}}},
	GMFCEperm:                  {"OFPGMFC_EPERM", []stretch{{V10, nicira, 6, 14}, {V11, none, 0, 0}, {V12, 0, 6, 14}}},
	GMFCUnknownBucket:          {"OFPGMFC_UNKNOWN_BUCKET", []stretch{{V10, nicira, 6, 15}, {V11, none, 0, 0}, {V15, 0, 6, 15}}},
	GMFCBucketExists:           {"OFPGMFC_BUCKET_EXISTS", []stretch{{V10, nicira, 6, 16}, {V11, none, 0, 0}, {V15, 0, 6, 16}}},
	PMFCBadPort:                {"OFPPMFC_BAD_PORT", []stretch{{V10, 0, 4, 0}, {V11, 0, 7, 0}}},
	PMFCBadHwAddr:              {"OFPPMFC_BAD_HW_ADDR", []stretch{{V10, 0, 4, 1}, {V11, 0, 7, 1}}},
	PMFCBadConfig:              {"OFPPMFC_BAD_CONFIG", []stretch{{V11, 0, 7, 2}}},
	PMFCBadAdvertise:           {"OFPPMFC_BAD_ADVERTISE", []stretch{{V11, 0, 7, 3}}},
	PMFCEperm:                  {"OFPPMFC_EPERM", []stretch{{V12, 0, 7, 4}}},
	TMFCBadTable:               {"OFPTMFC_BAD_TABLE", []stretch{{V11, 0, 8, 0}}},
	TMFCBadConfig:              {"OFPTMFC_BAD_CONFIG", []stretch{{V11, 0, 8, 1}}},
	TMFCEperm:                  {"OFPTMFC_EPERM", []stretch{{V12, 0, 8, 2}}},
	QOFCBadPort:                {"OFPQOFC_BAD_PORT", []stretch{{V10, 0, 5, 0}, {V11, 0, 9, 0}}},
	QOFCBadQueue:               {"OFPQOFC_BAD_QUEUE", []stretch{{V10, 0, 5, 1}, {V11, 0, 9, 1}}},
	QOFCEperm:                  {"OFPQOFC_EPERM", []stretch{{V10, 0, 5, 2}, {V11, 0, 9, 2}}},
	SCFCBadFlags:               {"OFPSCFC_BAD_FLAGS", []stretch{{V11, 0, 10, 0}}},
	SCFCBadLen:                 {"OFPSCFC_BAD_LEN", []stretch{{V11, 0, 10, 1}}},
	SCFCEperm:                  {"OFPSCFC_EPERM", []stretch{{V12, 0, 10, 2}}},
	RRFCStale:                  {"OFPRRFC_STALE", []stretch{{V12, 0, 11, 0}}},
	RRFCUnsup:                  {"OFPRRFC_UNSUP", []stretch{{V12, 0, 11, 1}}},
	RRFCBadRole:                {"OFPRRFC_BAD_ROLE", []stretch{{V10, nicira, 1, 513}, {V12, 0, 11, 2}}},
	RRFCIdUnsup:                {"OFPRRFC_ID_UNSUP", []stretch{{V15, 0, 11, 3}}},
	RRFCIdInUse:                {"OFPRRFC_ID_IN_USE", []stretch{{V15, 0, 11, 4}}},
	MMFCUnknown:                {"OFPMMFC_UNKNOWN", []stretch{{V13, 0, 12, 0}}},
	MMFCMeterExists:            {"OFPMMFC_METER_EXISTS", []stretch{{V13, 0, 12, 1}}},
	MMFCInvalidMeter:           {"OFPMMFC_INVALID_METER", []stretch{{V13, 0, 12, 2}}},
	MMFCUnknownMeter:           {"OFPMMFC_UNKNOWN_METER", []stretch{{V13, 0, 12, 3}}},
	MMFCBadCommand:             {"OFPMMFC_BAD_COMMAND", []stretch{{V13, 0, 12, 4}}},
	MMFCBadFlags:               {"OFPMMFC_BAD_FLAGS", []stretch{{V13, 0, 12, 5}}},
	MMFCBadRate:                {"OFPMMFC_BAD_RATE", []stretch{{V13, 0, 12, 6}}},
	MMFCBadBurst:               {"OFPMMFC_BAD_BURST", []stretch{{V13, 0, 12, 7}}},
	MMFCBadBand:                {"OFPMMFC_BAD_BAND", []stretch{{V13, 0, 12, 8}}},
	MMFCBadBandValue:           {"OFPMMFC_BAD_BAND_VALUE", []stretch{{V13, 0, 12, 9}}},
	MMFCOutOfMeters:            {"OFPMMFC_OUT_OF_METERS", []stretch{{V13, 0, 12, 10}}},
	MMFCOutOfBands:             {"OFPMMFC_OUT_OF_BANDS", []stretch{{V13, 0, 12, 11}}},
	TFFCBadTable:               {"OFPTFFC_BAD_TABLE", []stretch{{V13, 0, 13, 0}}},
	TFFCBadMetadata:            {"OFPTFFC_BAD_METADATA", []stretch{{V13, 0, 13, 1}}},
	TFFCEperm:                  {"OFPTFFC_EPERM", []stretch{{V13, 0, 13, 5}}},
	TFFCBadCapa:                {"OFPTFFC_BAD_CAPA", []stretch{{V15, 0, 13, 6}}},
	TFFCBadMaxEnt:              {"OFPTFFC_BAD_MAX_ENT", []stretch{{V15, 0, 13, 7}}},
	TFFCBadFeatures:            {"OFPTFFC_BAD_FEATURES", []stretch{{V15, 0, 13, 8}}},
	TFFCBadCommand:             {"OFPTFFC_BAD_COMMAND", []stretch{{V15, 0, 13, 9}}},
	TFFCTooMany:                {"OFPTFFC_TOO_MANY", []stretch{{V15, 0, 13, 10}}},
	BPCBadType:                 {"OFPBPC_BAD_TYPE", []stretch{{V10, nicira, 13, 2}, {V12, nicira, 25, 0}, {V13, 0, 13, 2}, {V14, 0, 14, 0}}},
	BPCBadLen:                  {"OFPBPC_BAD_LEN", []stretch{{V10, nicira, 13, 3}, {V12, nicira, 26, 0}, {V13, 0, 13, 3}, {V14, 0, 14, 1}}},
	BPCBadValue:                {"OFPBPC_BAD_VALUE", []stretch{{V10, nicira, 13, 4}, {V12, nicira, 27, 0}, {V13, 0, 13, 4}, {V14, 0, 14, 2}}},
	BPCTooMany:                 {"OFPBPC_TOO_MANY", []stretch{{V10, nicira, 14, 3}, {V12, nicira, 28, 0}, {V13, onf, 4443, 0}, {V14, 0, 14, 3}}},
	BPCDupType:                 {"OFPBPC_DUP_TYPE", []stretch{{V10, nicira, 14, 4}, {V12, nicira, 29, 0}, {V13, onf, 4444, 0}, {V14, 0, 14, 4}}},
	BPCBadExperimenter:         {"OFPBPC_BAD_EXPERIMENTER", []stretch{{V10, nicira, 14, 5}, {V12, nicira, 30, 0}, {V13, onf, 4445, 0}, {V14, 0, 14, 5}}},
	BPCBadExpType:              {"OFPBPC_BAD_EXP_TYPE", []stretch{{V10, nicira, 14, 6}, {V12, nicira, 31, 0}, {V13, onf, 4446, 0}, {V14, 0, 14, 6}}},
	BPCBadExpValue:             {"OFPBPC_BAD_EXP_VALUE", []stretch{{V10, nicira, 14, 7}, {V12, nicira, 32, 0}, {V13, onf, 4447, 0}, {V14, 0, 14, 7}}},
	BPCEperm:                   {"OFPBPC_EPERM", []stretch{{V10, nicira, 14, 8}, {V12, nicira, 33, 0}, {V13, onf, 4448, 0}, {V14, 0, 14, 8}}},
	ACFCInvalid:                {"OFPACFC_INVALID", []stretch{{V13, onf, 2370, 0}, {V14, 0, 15, 0}}},
	ACFCUnsupported:            {"OFPACFC_UNSUPPORTED", []stretch{{V13, onf, 2371, 0}, {V14, 0, 15, 1}}},
	ACFCEperm:                  {"OFPACFC_EPERM", []stretch{{V13, onf, 2372, 0}, {V14, 0, 15, 2}}},
	MOFCUnknown:                {"OFPMOFC_UNKNOWN", []stretch{{V14, 0, 16, 0}}},
	MOFCMonitorExists:          {"OFPMOFC_MONITOR_EXISTS", []stretch{{V10, nicira, 1, 517}, {V12, nicira, 6, 0}, {V14, 0, 16, 1}}},
	MOFCInvalidMonitor:         {"OFPMOFC_INVALID_MONITOR", []stretch{{V14, 0, 16, 2}}},
	MOFCUnknownMonitor:         {"OFPMOFC_UNKNOWN_MONITOR", []stretch{{V10, nicira, 1, 519}, {V12, nicira, 8, 0}, {V14, 0, 16, 3}}},
	MOFCBadCommand:             {"OFPMOFC_BAD_COMMAND", []stretch{{V14, 0, 16, 4}}},
	MOFCBadFlags:               {"OFPMOFC_BAD_FLAGS", []stretch{{V10, nicira, 1, 518}, {V12, nicira, 7, 0}, {V14, 0, 16, 5}}},
	MOFCBadTableId:             {"OFPMOFC_BAD_TABLE_ID", []stretch{{V14, 0, 16, 6}}},
	MOFCBadOut:                 {"OFPMOFC_BAD_OUT", []stretch{{V14, 0, 16, 7}}},
	BFCUnknown:                 {"OFPBFC_UNKNOWN", []stretch{{V13, onf, 2300, 0}, {V14, 0, 17, 0}}},
	BFCEperm:                   {"OFPBFC_EPERM", []stretch{{V13, onf, 2301, 0}, {V14, 0, 17, 1}}},
	BFCBadId:                   {"OFPBFC_BAD_ID", []stretch{{V13, onf, 2302, 0}, {V14, 0, 17, 2}}},
	BFCBundleExist:             {"OFPBFC_BUNDLE_EXIST", []stretch{{V13, onf, 2303, 0}, {V14, 0, 17, 3}}},
	BFCBundleClosed:            {"OFPBFC_BUNDLE_CLOSED", []stretch{{V13, onf, 2304, 0}, {V14, 0, 17, 4}}},
	BFCOutOfBundles:            {"OFPBFC_OUT_OF_BUNDLES", []stretch{{V13, onf, 2305, 0}, {V14, 0, 17, 5}}},
	BFCBadType:                 {"OFPBFC_BAD_TYPE", []stretch{{V13, onf, 2306, 0}, {V14, 0, 17, 6}}},
	BFCBadFlags:                {"OFPBFC_BAD_FLAGS", []stretch{{V13, onf, 2307, 0}, {V14, 0, 17, 7}}},
	BFCMsgBadLen:               {"OFPBFC_MSG_BAD_LEN", []stretch{{V13, onf, 2308, 0}, {V14, 0, 17, 8}}},
	BFCMsgBadXid:               {"OFPBFC_MSG_BAD_XID", []stretch{{V13, onf, 2309, 0}, {V14, 0, 17, 9}}},
	BFCMsgUnsup:                {"OFPBFC_MSG_UNSUP", []stretch{{V13, onf, 2310, 0}, {V14, 0, 17, 10}}},
	BFCMsgConflict:             {"OFPBFC_MSG_CONFLICT", []stretch{{V13, onf, 2311, 0}, {V14, 0, 17, 11}}},
	BFCMsgTooMany:              {"OFPBFC_MSG_TOO_MANY", []stretch{{V13, onf, 2312, 0}, {V14, 0, 17, 12}}},
	BFCMsgFailed:               {"OFPBFC_MSG_FAILED", []stretch{{V13, onf, 2313, 0}, {V14, 0, 17, 13}}},
	BFCTimeout:                 {"OFPBFC_TIMEOUT", []stretch{{V13, onf, 2314, 0}, {V14, 0, 17, 14}}},
	BFCBundleInProgress:        {"OFPBFC_BUNDLE_IN_PROGRESS", []stretch{{V13, onf, 2315, 0}, {V14, 0, 17, 15}}},
	BFCSchedNotSupported:       {"OFPBFC_SCHED_NOT_SUPPORTED", []stretch{{V15, 0, 17, 16}}},
	BFCSchedFuture:             {"OFPBFC_SCHED_FUTURE", []stretch{{V15, 0, 17, 17}}},
	BFCSchedPast:               {"OFPBFC_SCHED_PAST", []stretch{{V15, 0, 17, 18}}},
	NXBRCNxmInvalid:            {"NXBRC_NXM_INVALID", []stretch{{V10, nicira, 1, 256}, {V12, nicira, 2, 0}}},
	NXBRCNxmBadType:            {"NXBRC_NXM_BAD_TYPE", []stretch{{V10, nicira, 1, 257}, {V12, nicira, 3, 0}}},
	NXBRCMustBeZero:            {"NXBRC_MUST_BE_ZERO", []stretch{{V10, nicira, 1, 515}, {V12, nicira, 4, 0}}},
	NXBRCBadReason:             {"NXBRC_BAD_REASON", []stretch{{V10, nicira, 1, 516}, {V12, nicira, 5, 0}}},
	NXBRCFmBadEvent:            {"NXBRC_FM_BAD_EVENT", []stretch{{V10, nicira, 1, 520}, {V12, nicira, 9, 0}}},
	NXBRCUnencodableError:      {"NXBRC_UNENCODABLE_ERROR", []stretch{{V10, nicira, 1, 521}, {V12, nicira, 10, 0}}},
	NXBACMustBeZero:            {"NXBAC_MUST_BE_ZERO", []stretch{{V10, nicira, 2, 256}, {V12, nicira, 11, 0}}},
	NXFMFCHardware:             {"NXFMFC_HARDWARE", []stretch{{V10, nicira, 5, 256}, {V12, nicira, 12, 0}}},
	NXFMFCBadTableId:           {"NXFMFC_BAD_TABLE_ID", []stretch{{V10, nicira, 5, 257}, {V12, nicira, 13, 0}}},
	NXBACBadConjunction:        {"NXBAC_BAD_CONJUNCTION", []stretch{{V10, nicira, 2, 526}, {V12, nicira, 15, 0}}},
	NXTTMFCBadCommand:          {"NXTTMFC_BAD_COMMAND", []stretch{{V10, nicira, 1, 527}, {V12, nicira, 16, 0}}},
	NXTTMFCBadOptLen:           {"NXTTMFC_BAD_OPT_LEN", []stretch{{V10, nicira, 1, 528}, {V12, nicira, 17, 0}}},
	NXTTMFCBadFieldIdx:         {"NXTTMFC_BAD_FIELD_IDX", []stretch{{V10, nicira, 1, 529}, {V12, nicira, 18, 0}}},
	NXTTMFCTableFull:           {"NXTTMFC_TABLE_FULL", []stretch{{V10, nicira, 1, 530}, {V12, nicira, 19, 0}}},
	NXTTMFCAlreadyMapped:       {"NXTTMFC_ALREADY_MAPPED", []stretch{{V10, nicira, 1, 531}, {V12, nicira, 20, 0}}},
	NXTTMFCDupEntry:            {"NXTTMFC_DUP_ENTRY", []stretch{{V10, nicira, 1, 532}, {V12, nicira, 21, 0}}},
	BFCBadVersion:              {"OFPBFC_BAD_VERSION", []stretch{{V14, nicira, 22, 0}}},
	NXQOFCQueueError:           {"NXQOFC_QUEUE_ERROR", []stretch{{V14, nicira, 23, 0}}},
	NXRNotSupported:            {"NXR_NOT_SUPPORTED", []stretch{{V10, nicira, 1, 533}, {V12, nicira, 34, 0}}},
	NXRStale:                   {"NXR_STALE", []stretch{{V10, nicira, 1, 534}, {V12, nicira, 35, 0}}},
	NXSTNotConfigured:          {"NXST_NOT_CONFIGURED", []stretch{{V10, nicira, 1, 535}, {V12, nicira, 36, 0}}},
	NXFMFCInvalidTlvField:      {"NXFMFC_INVALID_TLV_FIELD", []stretch{{V10, nicira, 1, 536}, {V12, nicira, 37, 0}}},
	NXTTMFCInvalidTlvDel:       {"NXTTMFC_INVALID_TLV_DEL", []stretch{{V10, nicira, 1, 537}, {V12, nicira, 38, 0}}},
	NXBACBadHeaderType:         {"NXBAC_BAD_HEADER_TYPE", []stretch{{V13, nicira, 39, 0}}},
	NXBACUnknownEdProp:         {"NXBAC_UNKNOWN_ED_PROP", []stretch{{V13, nicira, 40, 0}}},
	NXBACBadEdProp:             {"NXBAC_BAD_ED_PROP", []stretch{{V13, nicira, 41, 0}}},
	NXBACCtDatapathSupport:     {"NXBAC_CT_DATAPATH_SUPPORT", []stretch{{V10, nicira, 1, 265}, {V12, nicira, 42, 0}}},
	NXBMCCtDatapathSupport:     {"NXBMC_CT_DATAPATH_SUPPORT", []stretch{{V10, nicira, 1, 264}, {V12, nicira, 43, 0}}},
	NXTFFCDupTable:             {"NXTFFC_DUP_TABLE", []stretch{{V13, nicira, 44, 0}}},
}
