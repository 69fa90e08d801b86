/* SPDX-License-Identifier: BSD-3-Clause */
/* The PCI Express capability and the extended capabilities. */
#include <errno.h>

#include "pci/internal.h"

#define DEVCTL_ERRORS \
	(PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE)
#define DEVSTA_ERRORS \
	(PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED | PCI_EXP_DEVSTA_FED | PCI_EXP_DEVSTA_URD)
/* Extended Fmt and End-End TLP Prefix, one prefix at most unless said otherwise. */
#define DEVCAP2_EFF 0x00100000U
#define DEVCAP2_EETLPP 0x00200000U
#define DEVCTL2_EETLPPB 0x8000U

/* Uncorrectable errors that a function without ports reports, and which of them are fatal. */
#define AER_UNCORRECTABLE \
	(PCI_ERR_UNC_DLP | PCI_ERR_UNC_SURPDN | PCI_ERR_UNC_POISON_TLP | PCI_ERR_UNC_FCP | \
	 PCI_ERR_UNC_COMP_TIME | PCI_ERR_UNC_COMP_ABORT | PCI_ERR_UNC_UNX_COMP | \
	 PCI_ERR_UNC_RX_OVER | PCI_ERR_UNC_MALF_TLP | PCI_ERR_UNC_ECRC | PCI_ERR_UNC_UNSUP | \
	 PCI_ERR_UNC_ACSV | PCI_ERR_UNC_INTN | PCI_ERR_UNC_MCBTLP | PCI_ERR_UNC_ATOMEG | \
	 PCI_ERR_UNC_TLPPRE)
#define AER_FATAL \
	(PCI_ERR_UNC_DLP | PCI_ERR_UNC_SURPDN | PCI_ERR_UNC_FCP | PCI_ERR_UNC_RX_OVER | \
	 PCI_ERR_UNC_MALF_TLP | PCI_ERR_UNC_INTN)
#define AER_CORRECTABLE \
	(PCI_ERR_COR_RCVR | PCI_ERR_COR_BAD_TLP | PCI_ERR_COR_BAD_DLLP | PCI_ERR_COR_REP_ROLL | \
	 PCI_ERR_COR_REP_TIMER | PCI_ERR_COR_ADV_NFAT | PCI_ERR_COR_INTERNAL | \
	 PCI_ERR_COR_LOG_OVER)

#define ROOT_STATUS_W1C \
	(PCI_ERR_ROOT_COR_RCV | PCI_ERR_ROOT_MULTI_COR_RCV | PCI_ERR_ROOT_UNCOR_RCV | \
	 PCI_ERR_ROOT_MULTI_UNCOR_RCV | PCI_ERR_ROOT_FIRST_FATAL | PCI_ERR_ROOT_NONFATAL_RCV | \
	 PCI_ERR_ROOT_FATAL_RCV)

static bool type_has_link(unsigned int type)
{
	return type != PCI_EXP_TYPE_RC_END && type != PCI_EXP_TYPE_RC_EC;
}

static bool type_has_slot(unsigned int type)
{
	return type == PCI_EXP_TYPE_ROOT_PORT || type == PCI_EXP_TYPE_DOWNSTREAM;
}

static void add_link(struct pci_function *fn, unsigned int type)
{
	u32 cap = PCI_EXP_LNKCAP_SLS_2_5GB | 1U << 4 | PCI_EXP_LNKCAP_ASPM_L0S;

	if (type_has_slot(type))
		cap |= PCI_EXP_LNKCAP_DLLLARC;
	pci_config_set(fn, fn->express + PCI_EXP_LNKCAP, 4, cap);
	pci_config_set(fn, fn->express + PCI_EXP_LNKSTA, 2,
		       PCI_EXP_LNKSTA_CLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1 |
			       (type_has_slot(type) ? PCI_EXP_LNKSTA_DLLLA : 0));
	if (type_has_slot(type))
		pci_set_writable(fn, fn->express + PCI_EXP_LNKCTL, 2,
				 PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_CCC | PCI_EXP_LNKCTL_ES);
}

static void add_slot(struct pci_function *fn)
{
	pci_config_set(fn, fn->express + PCI_EXP_SLTSTA, 2, PCI_EXP_SLTSTA_PDS);
	pci_set_writable(fn, fn->express + PCI_EXP_SLTCTL, 2,
			 PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_DLLSCE);
	pci_set_w1c(fn, fn->express + PCI_EXP_SLTSTA, 2, PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
}

static void add_root(struct pci_function *fn)
{
	pci_set_writable(fn, fn->express + PCI_EXP_RTCTL, 2,
			 PCI_EXP_RTCTL_SECEE | PCI_EXP_RTCTL_SENFEE | PCI_EXP_RTCTL_SEFEE |
				 PCI_EXP_RTCTL_PMEIE);
	pci_set_w1c(fn, fn->express + PCI_EXP_RTSTA, 4, PCI_EXP_RTSTA_PME);
}

/* Error reporting, for functions that have something to report with. */
static void add_device_errors(struct pci_function *fn)
{
	unsigned int control = fn->express + PCI_EXP_DEVCTL;

	pci_set_writable(fn, control, 1, DEVCTL_ERRORS);
	pci_set_w1c(fn, fn->express + PCI_EXP_DEVSTA, 2, DEVSTA_ERRORS);
}

int pci_add_express(struct pci_function *fn, u8 pos, unsigned int type, bool flr)
{
	u32 cap2 = DEVCAP2_EFF | DEVCAP2_EETLPP;
	u16 control2 = DEVCTL2_EETLPPB;
	int at;

	if (type > PCI_EXP_TYPE_RC_EC)
		return -EINVAL;
	at = pci_add_capability(fn, PCI_CAP_ID_EXP, pos, PCI_EXPRESS_LENGTH);
	if (at < 0)
		return at;
	fn->express = (u16)at;
	pci_config_set(fn, fn->express + PCI_EXP_FLAGS, 2,
		       2 | type << 4 | (type_has_slot(type) ? PCI_EXP_FLAGS_SLOT : 0));
	pci_config_set(fn, fn->express + PCI_EXP_DEVCAP, 4,
		       PCI_EXP_DEVCAP_RBER | (flr ? PCI_EXP_DEVCAP_FLR : 0));
	if (flr)
		pci_set_writable(fn, fn->express + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	if (type_has_link(type))
		add_link(fn, type);
	if (type_has_slot(type)) {
		add_device_errors(fn);
		add_slot(fn);
		cap2 |= PCI_EXP_DEVCAP2_ARI;
		control2 |= PCI_EXP_DEVCTL2_ARI;
	}
	if (type == PCI_EXP_TYPE_ROOT_PORT || type == PCI_EXP_TYPE_RC_EC)
		add_root(fn);
	pci_config_set(fn, fn->express + PCI_EXP_DEVCAP2, 4, cap2);
	pci_set_writable(fn, fn->express + PCI_EXP_DEVCTL2, 2, control2);
	/* Without extended capabilities, their first header reads as zero. */
	if (fn->size > PCI_CONFIG_SIZE && !fn->used[PCI_CONFIG_SIZE])
		pci_set_writable(fn, PCI_CONFIG_SIZE, 4, 0);
	return 0;
}

void pci_express_set_link(struct pci_function *fn, unsigned int speed, unsigned int width)
{
	u32 cap = pci_config_get(fn, fn->express + PCI_EXP_LNKCAP, 4);
	u32 status = pci_config_get(fn, fn->express + PCI_EXP_LNKSTA, 2);

	cap &= ~(u32)(PCI_EXP_LNKCAP_SLS | PCI_EXP_LNKCAP_MLW);
	status &= ~(u32)(PCI_EXP_LNKSTA_CLS | PCI_EXP_LNKSTA_NLW);
	pci_config_set(fn, fn->express + PCI_EXP_LNKCAP, 4, cap | speed | width << 4);
	pci_config_set(fn, fn->express + PCI_EXP_LNKSTA, 2, status | speed | width << 4);
	/* All speeds up to this one. */
	pci_config_set(fn, fn->express + PCI_EXP_LNKCAP2, 4, (BIT(speed) - 1) << 1);
	pci_config_set(fn, fn->express + PCI_EXP_LNKCTL2, 2, speed);
}

void pci_express_set_slot(struct pci_function *fn, unsigned int number, bool hotplug)
{
	u32 cap = number << 19 & PCI_EXP_SLTCAP_PSN;

	if (hotplug)
		cap |= PCI_EXP_SLTCAP_HPC | PCI_EXP_SLTCAP_HPS | PCI_EXP_SLTCAP_ABP |
		       PCI_EXP_SLTCAP_PIP;
	pci_config_set(fn, fn->express + PCI_EXP_SLTCAP, 4, cap);
}

int pci_add_aer(struct pci_function *fn, u16 pos)
{
	int at = pci_add_ext_capability(fn, PCI_EXT_CAP_ID_ERR, 2, pos, PCI_AER_LENGTH);
	u32 type;

	if (at < 0)
		return at;
	fn->aer = (u16)at;
	pci_set_w1c(fn, fn->aer + PCI_ERR_UNCOR_STATUS, 4, AER_UNCORRECTABLE);
	pci_set_writable(fn, fn->aer + PCI_ERR_UNCOR_MASK, 4, AER_UNCORRECTABLE);
	pci_config_set(fn, fn->aer + PCI_ERR_UNCOR_SEVER, 4, AER_FATAL);
	pci_set_writable(fn, fn->aer + PCI_ERR_UNCOR_SEVER, 4, AER_UNCORRECTABLE);
	pci_set_w1c(fn, fn->aer + PCI_ERR_COR_STATUS, 4, AER_CORRECTABLE);
	pci_config_set(fn, fn->aer + PCI_ERR_COR_MASK, 4,
		       PCI_ERR_COR_ADV_NFAT | PCI_ERR_COR_INTERNAL | PCI_ERR_COR_LOG_OVER);
	pci_set_writable(fn, fn->aer + PCI_ERR_COR_MASK, 4, AER_CORRECTABLE);
	pci_config_set(fn, fn->aer + PCI_ERR_CAP, 4, PCI_ERR_CAP_ECRC_GENC | PCI_ERR_CAP_ECRC_CHKC);
	pci_set_writable(fn, fn->aer + PCI_ERR_CAP, 4,
			 PCI_ERR_CAP_ECRC_GENE | PCI_ERR_CAP_ECRC_CHKE);
	if (!fn->express)
		return 0;
	add_device_errors(fn);
	type = (pci_config_get(fn, fn->express + PCI_EXP_FLAGS, 2) & PCI_EXP_FLAGS_TYPE) >> 4;
	if (type == PCI_EXP_TYPE_ROOT_PORT || type == PCI_EXP_TYPE_RC_EC) {
		pci_set_writable(fn, fn->aer + PCI_ERR_ROOT_COMMAND, 4,
				 PCI_ERR_ROOT_CMD_COR_EN | PCI_ERR_ROOT_CMD_NONFATAL_EN |
					 PCI_ERR_ROOT_CMD_FATAL_EN);
		pci_set_w1c(fn, fn->aer + PCI_ERR_ROOT_STATUS, 4, ROOT_STATUS_W1C);
	}
	return 0;
}

int pci_add_acs(struct pci_function *fn, u16 pos, u16 capability)
{
	int at = pci_add_ext_capability(fn, PCI_EXT_CAP_ID_ACS, 1, pos, PCI_ACS_LENGTH);

	if (at < 0)
		return at;
	fn->acs = (u16)at;
	pci_config_set(fn, fn->acs + PCI_ACS_CAP, 2, capability);
	pci_set_writable(fn, fn->acs + PCI_ACS_CTRL, 2, capability & 0x7fU);
	return 0;
}

int pci_add_dsn(struct pci_function *fn, u16 pos, u64 serial)
{
	int at = pci_add_ext_capability(fn, PCI_EXT_CAP_ID_DSN, 1, pos, PCI_EXT_CAP_DSN_SIZEOF);

	if (at < 0)
		return at;
	pci_config_set(fn, (unsigned int)at + 4, 4, (u32)serial);
	pci_config_set(fn, (unsigned int)at + 8, 4, (u32)(serial >> 32));
	return 0;
}
