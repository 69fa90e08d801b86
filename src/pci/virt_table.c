/* SPDX-License-Identifier: BSD-3-Clause */
/* What a user of vfio-pci may see and write: one table for each capability. */
#include "pci/virt_internal.h"

#define ALL 0xffffffffU
#define VIRT_FIELDS(table) .fields = (table), .nfields = ARRAY_SIZE(table)

/* Every header of a capability is the view's, so that the list can be changed. */
#define LIST_FIELD \
	{ \
		PCI_CAP_LIST_ID, 2, 0xffff, 0 \
	}
#define EXT_LIST_FIELD \
	{ \
		0, 4, ALL, 0 \
	}

static const struct virt_field header_fields[] = {
	{ PCI_VENDOR_ID, 4, ALL, 0 },
	/* The driver masks interrupts with INTX_DISABLE; the user has one of his own. */
	{ PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE, ALL },
	{ PCI_STATUS, 2, PCI_STATUS_CAP_LIST, 0 },
	{ PCI_CACHE_LINE_SIZE, 1, 0, ALL },
	{ PCI_LATENCY_TIMER, 1, 0, ALL },
	{ PCI_BIST, 1, 0, ALL },
	{ PCI_BASE_ADDRESS_0, 4, ALL, ALL },
	{ PCI_BASE_ADDRESS_1, 4, ALL, ALL },
	{ PCI_BASE_ADDRESS_2, 4, ALL, ALL },
	{ PCI_BASE_ADDRESS_3, 4, ALL, ALL },
	{ PCI_BASE_ADDRESS_4, 4, ALL, ALL },
	{ PCI_BASE_ADDRESS_5, 4, ALL, ALL },
	{ PCI_ROM_ADDRESS, 4, ALL, ALL },
	{ PCI_CAPABILITY_LIST, 1, ALL, 0 },
	{ PCI_INTERRUPT_LINE, 1, ALL, ALL },
	{ PCI_INTERRUPT_PIN, 1, ALL, 0 },
};

const struct virt_capability virt_header = {
	.length = PCI_STD_HEADER_SIZEOF,
	VIRT_FIELDS(header_fields),
	.before = virt_header_before,
	.after = virt_header_after,
};

static const struct virt_field list_fields[] = { LIST_FIELD };

/* Wake-up events are the host's; the power state changes only as the driver lets it. */
#define PM_EVENTS (PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS)
static const struct virt_field pm_fields[] = {
	LIST_FIELD,
	{ PCI_PM_PMC, 2, PCI_PM_CAP_PME_MASK, 0 },
	{ PCI_PM_CTRL, 4, PM_EVENTS, ~(u32)(PM_EVENTS | PCI_PM_CTRL_STATE_MASK) },
};

static const struct virt_field vpd_fields[] = {
	LIST_FIELD,
	{ PCI_VPD_ADDR, 2, ALL, ALL },
	{ PCI_VPD_DATA, 4, ALL, ALL },
};

static const struct virt_field pcix_fields[] = {
	LIST_FIELD,
	{ PCI_X_CMD, 2, 0, ALL },
	{ PCI_X_ECC_CSR, 4, 0, ALL },
};

/* Not Phantom Functions (the IOMMU knows no such requester) nor ARI (set by the host); payload and
 * read request sizes concern other devices too. */
static const struct virt_field express_fields[] = {
	LIST_FIELD,
	{ PCI_EXP_DEVCTL, 2,
	  PCI_EXP_DEVCTL_BCR_FLR | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_READRQ,
	  ~(u32)PCI_EXP_DEVCTL_PHANTOM },
	{ PCI_EXP_DEVCTL2, 2, 0, ~(u32)PCI_EXP_DEVCTL2_ARI },
};

static const struct virt_field af_fields[] = {
	LIST_FIELD,
	{ PCI_AF_CTRL, 1, PCI_AF_CTRL_FLR, PCI_AF_CTRL_FLR },
};

/* The upper byte of the control register is reserved. */
static const struct virt_field msi32_fields[] = {
	LIST_FIELD,
	{ PCI_MSI_FLAGS, 1, ALL, ALL },
	{ PCI_MSI_ADDRESS_LO, 4, ALL, ALL },
	{ PCI_MSI_DATA_32, 2, ALL, ALL },
};

static const struct virt_field msi32_mask_fields[] = {
	LIST_FIELD,
	{ PCI_MSI_FLAGS, 1, ALL, ALL },
	{ PCI_MSI_ADDRESS_LO, 4, ALL, ALL },
	{ PCI_MSI_DATA_32, 2, ALL, ALL },
	{ PCI_MSI_MASK_32, 4, 0, ALL },
	{ PCI_MSI_PENDING_32, 4, 0, ALL },
};

static const struct virt_field msi64_fields[] = {
	LIST_FIELD,
	{ PCI_MSI_FLAGS, 1, ALL, ALL },
	{ PCI_MSI_ADDRESS_LO, 4, ALL, ALL },
	{ PCI_MSI_ADDRESS_HI, 4, ALL, ALL },
	{ PCI_MSI_DATA_64, 2, ALL, ALL },
};

static const struct virt_field msi64_mask_fields[] = {
	LIST_FIELD,
	{ PCI_MSI_FLAGS, 1, ALL, ALL },
	{ PCI_MSI_ADDRESS_LO, 4, ALL, ALL },
	{ PCI_MSI_ADDRESS_HI, 4, ALL, ALL },
	{ PCI_MSI_DATA_64, 2, ALL, ALL },
	{ PCI_MSI_MASK_64, 4, 0, ALL },
	{ PCI_MSI_PENDING_64, 4, 0, ALL },
};

/* By 64BIT, then MASKBIT of the control register. */
static const struct virt_capability msi_forms[2][2] = {
	{ { .length = 10, VIRT_FIELDS(msi32_fields), .after = virt_msi_after },
	  { .length = 20, VIRT_FIELDS(msi32_mask_fields), .after = virt_msi_after } },
	{ { .length = 14, VIRT_FIELDS(msi64_fields), .after = virt_msi_after },
	  { .length = 24, VIRT_FIELDS(msi64_mask_fields), .after = virt_msi_after } },
};

static unsigned int pcix_length(const struct pci_function *fn, unsigned int pos)
{
	return PCI_X_CMD_VERSION(pci_config_get(fn, pos + PCI_X_CMD, 2)) ? PCI_CAP_PCIX_SIZEOF_V2
									 : PCI_CAP_PCIX_SIZEOF_V0;
}

static unsigned int vendor_length(const struct pci_function *fn, unsigned int pos)
{
	return pci_config_get(fn, pos + PCI_CAP_FLAGS, 1);
}

static unsigned int ht_length(const struct pci_function *fn, unsigned int pos)
{
	return pci_config_get(fn, pos + 3, 1) & HT_3BIT_CAP_MASK ? HT_CAP_SIZEOF_SHORT
								 : HT_CAP_SIZEOF_LONG;
}

static unsigned int express_length(const struct pci_function *fn, unsigned int pos)
{
	u32 flags = pci_config_get(fn, pos + PCI_EXP_FLAGS, 2);
	bool link = (flags & PCI_EXP_FLAGS_TYPE) >> 4 != PCI_EXP_TYPE_RC_END;

	if ((flags & PCI_EXP_FLAGS_VERS) == 1)
		return link ? PCI_CAP_EXP_ENDPOINT_SIZEOF_V1 : PCI_CAP_EXP_RC_ENDPOINT_SIZEOF_V1;
	return link ? PCI_CAP_EXP_ENDPOINT_SIZEOF_V2 : PCI_CAP_EXP_RC_ENDPOINT_SIZEOF_V2;
}

static unsigned int sata_length(const struct pci_function *fn, unsigned int pos)
{
	u32 regs = pci_config_get(fn, pos + PCI_SATA_REGS, 1) & PCI_SATA_REGS_MASK;

	return regs == PCI_SATA_REGS_INLINE ? PCI_SATA_SIZEOF_LONG : PCI_SATA_SIZEOF_SHORT;
}

static const struct virt_capability capabilities[PCI_CAP_ID_MAX + 1] = {
	[PCI_CAP_ID_PM] = { .length = PCI_PM_SIZEOF,
			    VIRT_FIELDS(pm_fields),
			    .after = virt_pm_after },
	[PCI_CAP_ID_AGP] = { .length = PCI_AGP_SIZEOF, VIRT_FIELDS(list_fields) },
	[PCI_CAP_ID_VPD] = { .length = PCI_CAP_VPD_SIZEOF,
			     VIRT_FIELDS(vpd_fields),
			     .after = virt_vpd_after },
	[PCI_CAP_ID_PCIX] = { .measure = pcix_length, VIRT_FIELDS(pcix_fields) },
	[PCI_CAP_ID_HT] = { .measure = ht_length, VIRT_FIELDS(list_fields) },
	[PCI_CAP_ID_VNDR] = { .measure = vendor_length,
			      VIRT_FIELDS(list_fields),
			      .raw_write = true },
	[PCI_CAP_ID_EXP] = { .measure = express_length,
			     VIRT_FIELDS(express_fields),
			     .before = virt_express_before,
			     .after = virt_express_after },
	[PCI_CAP_ID_MSIX] = { .length = PCI_CAP_MSIX_SIZEOF, VIRT_FIELDS(list_fields) },
	[PCI_CAP_ID_SATA] = { .measure = sata_length, VIRT_FIELDS(list_fields) },
	[PCI_CAP_ID_AF] = { .length = PCI_CAP_AF_SIZEOF,
			    VIRT_FIELDS(af_fields),
			    .after = virt_af_after },
};

static const struct virt_field ext_list_fields[] = { EXT_LIST_FIELD };

#define ERR_UNCORRECTABLE \
	(PCI_ERR_UNC_UND | PCI_ERR_UNC_DLP | PCI_ERR_UNC_SURPDN | PCI_ERR_UNC_POISON_TLP | \
	 PCI_ERR_UNC_FCP | PCI_ERR_UNC_COMP_TIME | PCI_ERR_UNC_COMP_ABORT | PCI_ERR_UNC_UNX_COMP | \
	 PCI_ERR_UNC_RX_OVER | PCI_ERR_UNC_MALF_TLP | PCI_ERR_UNC_ECRC | PCI_ERR_UNC_UNSUP | \
	 PCI_ERR_UNC_ACSV | PCI_ERR_UNC_INTN | PCI_ERR_UNC_MCBTLP | PCI_ERR_UNC_ATOMEG | \
	 PCI_ERR_UNC_TLPPRE)
#define ERR_CORRECTABLE \
	(PCI_ERR_COR_RCVR | PCI_ERR_COR_BAD_TLP | PCI_ERR_COR_BAD_DLLP | PCI_ERR_COR_REP_ROLL | \
	 PCI_ERR_COR_REP_TIMER | PCI_ERR_COR_ADV_NFAT | PCI_ERR_COR_INTERNAL | \
	 PCI_ERR_COR_LOG_OVER)
static const struct virt_field err_fields[] = {
	EXT_LIST_FIELD,
	{ PCI_ERR_UNCOR_STATUS, 4, 0, ERR_UNCORRECTABLE },
	{ PCI_ERR_UNCOR_MASK, 4, 0, ERR_UNCORRECTABLE },
	{ PCI_ERR_UNCOR_SEVER, 4, 0, ERR_UNCORRECTABLE },
	{ PCI_ERR_COR_STATUS, 4, 0, ERR_CORRECTABLE },
	{ PCI_ERR_COR_MASK, 4, 0, ERR_CORRECTABLE },
	{ PCI_ERR_CAP, 4, 0, PCI_ERR_CAP_ECRC_GENE | PCI_ERR_CAP_ECRC_CHKE },
};

/* Linux opens the data register, not the selector next to it. */
static const struct virt_field pwr_fields[] = {
	EXT_LIST_FIELD,
	{ PCI_PWR_DATA, 1, 0, ALL },
};

static unsigned int vc_length(const struct pci_function *fn, unsigned int pos)
{
	unsigned int vcs = 1 + (pci_config_get(fn, pos + PCI_VC_PORT_CAP1, 4) & PCI_VC_CAP1_EVCC);
	unsigned int length = PCI_CAP_VC_BASE_SIZEOF + vcs * PCI_CAP_VC_PER_VC_SIZEOF, phases = 0;
	u32 cap2 = pci_config_get(fn, pos + PCI_VC_PORT_CAP2, 4);

	if (cap2 & PCI_VC_CAP2_128_PHASE)
		phases = 128;
	else if (cap2 & PCI_VC_CAP2_64_PHASE)
		phases = 64;
	else if (cap2 & PCI_VC_CAP2_32_PHASE)
		phases = 32;
	/* The arbitration table: four bits for each phase. */
	return phases ? ALIGN_UP(length, 16) + phases * 4 / 8 : length;
}

static unsigned int ext_vendor_length(const struct pci_function *fn, unsigned int pos)
{
	return PCI_VNDR_HEADER_LEN(pci_config_get(fn, pos + PCI_VNDR_HEADER, 4));
}

static unsigned int acs_length(const struct pci_function *fn, unsigned int pos)
{
	unsigned int bits;

	if (!(pci_config_get(fn, pos + PCI_ACS_CAP, 1) & PCI_ACS_EC))
		return 8;
	bits = pci_config_get(fn, pos + PCI_ACS_EGRESS_BITS, 1);
	return 8 + (bits ? ALIGN_UP(bits, 32) : 256) / 8;
}

static unsigned int rebar_length(const struct pci_function *fn, unsigned int pos)
{
	u32 control = pci_config_get(fn, pos + PCI_REBAR_CTRL, 1);

	return 4 + 8 * ((control & PCI_REBAR_CTRL_NBAR_MASK) >> PCI_REBAR_CTRL_NBAR_SHIFT);
}

static unsigned int dpa_length(const struct pci_function *fn, unsigned int pos)
{
	return PCI_DPA_BASE_SIZEOF + 1 +
	       (pci_config_get(fn, pos + PCI_DPA_CAP, 1) & PCI_DPA_CAP_SUBSTATE_MASK);
}

static unsigned int tph_length(const struct pci_function *fn, unsigned int pos)
{
	u32 cap = pci_config_get(fn, pos + PCI_TPH_CAP, 4);

	if ((cap & PCI_TPH_CAP_LOC_MASK) != PCI_TPH_LOC_CAP)
		return PCI_TPH_BASE_SIZEOF;
	return PCI_TPH_BASE_SIZEOF + 2 * ((cap & PCI_TPH_CAP_ST_MASK) >> PCI_TPH_CAP_ST_SHIFT) + 2;
}

static unsigned int dvsec_length(const struct pci_function *fn, unsigned int pos)
{
	return PCI_DVSEC_HEADER1_LEN(pci_config_get(fn, pos + PCI_DVSEC_HEADER1, 4));
}

static const struct virt_capability ext_capabilities[PCI_EXT_CAP_ID_MAX + 1] = {
	[PCI_EXT_CAP_ID_ERR] = { .length = PCI_ERR_ROOT_COMMAND, VIRT_FIELDS(err_fields) },
	[PCI_EXT_CAP_ID_VC] = { .measure = vc_length, VIRT_FIELDS(ext_list_fields) },
	[PCI_EXT_CAP_ID_DSN] = { .length = PCI_EXT_CAP_DSN_SIZEOF, VIRT_FIELDS(ext_list_fields) },
	[PCI_EXT_CAP_ID_PWR] = { .length = PCI_EXT_CAP_PWR_SIZEOF, VIRT_FIELDS(pwr_fields) },
	[PCI_EXT_CAP_ID_MFVC] = { .measure = vc_length, VIRT_FIELDS(ext_list_fields) },
	[PCI_EXT_CAP_ID_VC9] = { .measure = vc_length, VIRT_FIELDS(ext_list_fields) },
	[PCI_EXT_CAP_ID_VNDR] = { .measure = ext_vendor_length,
				  VIRT_FIELDS(ext_list_fields),
				  .raw_write = true },
	[PCI_EXT_CAP_ID_ACS] = { .measure = acs_length, VIRT_FIELDS(ext_list_fields) },
	[PCI_EXT_CAP_ID_ARI] = { .length = PCI_EXT_CAP_ARI_SIZEOF, VIRT_FIELDS(ext_list_fields) },
	[PCI_EXT_CAP_ID_ATS] = { .length = PCI_EXT_CAP_ATS_SIZEOF, VIRT_FIELDS(ext_list_fields) },
	[PCI_EXT_CAP_ID_SRIOV] = { .length = PCI_EXT_CAP_SRIOV_SIZEOF,
				   VIRT_FIELDS(ext_list_fields) },
	[PCI_EXT_CAP_ID_MCAST] = { .length = PCI_EXT_CAP_MCAST_ENDPOINT_SIZEOF,
				   VIRT_FIELDS(ext_list_fields) },
	[PCI_EXT_CAP_ID_PRI] = { .length = PCI_EXT_CAP_PRI_SIZEOF, VIRT_FIELDS(ext_list_fields) },
	[PCI_EXT_CAP_ID_REBAR] = { .measure = rebar_length, VIRT_FIELDS(ext_list_fields) },
	[PCI_EXT_CAP_ID_DPA] = { .measure = dpa_length, VIRT_FIELDS(ext_list_fields) },
	[PCI_EXT_CAP_ID_TPH] = { .measure = tph_length, VIRT_FIELDS(ext_list_fields) },
	[PCI_EXT_CAP_ID_LTR] = { .length = PCI_EXT_CAP_LTR_SIZEOF, VIRT_FIELDS(ext_list_fields) },
	[PCI_EXT_CAP_ID_DVSEC] = { .measure = dvsec_length,
				   VIRT_FIELDS(ext_list_fields),
				   .raw_write = true },
};

const struct virt_capability virt_ext_anchor = { .length = PCI_CAP_SIZEOF,
						 VIRT_FIELDS(ext_list_fields) };

const struct virt_capability *virt_capability(const struct pci_function *fn, u8 id,
					      unsigned int pos)
{
	const struct virt_capability *cap;

	if (id == PCI_CAP_ID_MSI) {
		u32 flags = pci_config_get(fn, pos + PCI_MSI_FLAGS, 2);

		return &msi_forms[!!(flags & PCI_MSI_FLAGS_64BIT)]
				 [!!(flags & PCI_MSI_FLAGS_MASKBIT)];
	}
	if (id > PCI_CAP_ID_MAX)
		return NULL;
	cap = &capabilities[id];
	return cap->length || cap->measure ? cap : NULL;
}

const struct virt_capability *virt_ext_capability(u16 id)
{
	const struct virt_capability *cap;

	if (id > PCI_EXT_CAP_ID_MAX)
		return NULL;
	cap = &ext_capabilities[id];
	return cap->length || cap->measure ? cap : NULL;
}
