/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The educational device of QEMU, as a guest sees it (QEMU: docs/specs/edu.rst).
 *
 * Differences, all of them where QEMU has no answer to give: a DMA that leaves the device's buffer
 * ends QEMU, or lets it run over its own memory, depending on the version; here the part inside the
 * buffer is transferred, and the command ends as any other. The delay before a DMA is a property,
 * because QEMU's 100 ms are its author's lesson and not the device's nature.
 */
#include "models/edu/edu.h"

#include <string.h>

#define EDU_BAR_SIZE 0x100000

#define REG_ID 0x00
#define REG_LIVENESS 0x04
#define REG_FACTORIAL 0x08
#define REG_STATUS 0x20
#define REG_IRQ_STATUS 0x24
#define REG_IRQ_RAISE 0x60
#define REG_IRQ_ACK 0x64
#define REG_WIDE 0x80 /* registers from here on are 64 bits wide */
#define REG_DMA_SRC 0x80
#define REG_DMA_DST 0x88
#define REG_DMA_COUNT 0x90
#define REG_DMA_CMD 0x98

#define EDU_ID 0x010000edU

#define STATUS_COMPUTING 0x01U
#define STATUS_IRQFACT 0x80U

#define IRQ_FACTORIAL 0x001U
#define IRQ_DMA 0x100U

#define CMD_RUN 0x1
#define CMD_TO_RAM 0x2
#define CMD_IRQ 0x4

/* The buffer, as the addresses in the DMA registers name it. */
#define BUF_START 0x40000ULL
#define BUF_SIZE 4096ULL

struct edu_props {
	u64 dma_mask;
	u64 dma_delay_us;
};

struct edu {
	u32 liveness;
	u32 factorial;
	u32 status;
	u32 irq_status;
	u64 dma_src, dma_dst, dma_count, dma_cmd;
	struct device_timer dma_timer, factorial_timer;
	u8 buf[BUF_SIZE];
};

static void edu_raise(struct device *dev, u32 bits)
{
	struct edu *edu = device_state(dev);

	edu->irq_status |= bits;
	if (!edu->irq_status)
		return;
	if (pci_msi_enabled(&dev->pci))
		device_send_msi(dev, 0);
	else
		device_set_intx(dev, true);
}

static void edu_ack(struct device *dev, u32 bits)
{
	struct edu *edu = device_state(dev);

	edu->irq_status &= ~bits;
	if (!edu->irq_status && !pci_msi_enabled(&dev->pci))
		device_set_intx(dev, false);
}

static void edu_factorial_expired(struct device_timer *timer)
{
	struct edu *edu = device_state(timer->dev);
	u32 n = edu->factorial, result = 1;

	/* 34! is the first that 32 bits see as 0, and so are all after it. */
	if (n >= 34)
		result = 0;
	else
		while (n)
			result *= n--;
	edu->factorial = result;
	edu->status &= ~STATUS_COMPUTING;
	if (edu->status & STATUS_IRQFACT)
		edu_raise(timer->dev, IRQ_FACTORIAL);
}

/*
 * The part of the transfer [start, start + count) that lies in the buffer: its length, with *skip
 * the bytes before it.
 */
static u64 edu_clip(u64 start, u64 count, u64 *skip)
{
	u64 end = start + count;

	if (end < start)
		end = ~0ULL;
	end = MIN(end, BUF_START + BUF_SIZE);
	*skip = start < BUF_START ? BUF_START - start : 0;
	start += *skip;
	return start < end ? end - start : 0;
}

/* Each page is translated by itself: one that fails reads as zeros and does not stop the others. */
static void edu_transfer(struct device *dev, u64 iova, u8 *buf, u64 len, bool to_ram)
{
	while (len) {
		u64 n = MIN(len, PAGE_SIZE_4K - (iova & (PAGE_SIZE_4K - 1)));

		if (to_ram)
			device_dma_write(dev, iova, buf, n);
		else if (device_dma_read(dev, iova, buf, n))
			memset(buf, 0, n);
		iova += n;
		buf += n;
		len -= n;
	}
}

static void edu_dma_expired(struct device_timer *timer)
{
	struct device *dev = timer->dev;
	const struct edu_props *props = dev->props;
	struct edu *edu = device_state(dev);
	bool to_ram = edu->dma_cmd & CMD_TO_RAM;
	u64 local = to_ram ? edu->dma_src : edu->dma_dst;
	u64 remote = (to_ram ? edu->dma_dst : edu->dma_src) & props->dma_mask;
	u64 skip, len = edu_clip(local, edu->dma_count, &skip);

	if (len)
		edu_transfer(dev, remote + skip, edu->buf + (local + skip - BUF_START), len,
			     to_ram);
	edu->dma_cmd &= ~(u64)CMD_RUN;
	if (edu->dma_cmd & CMD_IRQ)
		edu_raise(dev, IRQ_DMA);
}

static u64 edu_register(const struct edu *edu, u64 offset)
{
	switch (offset) {
	case REG_ID:
		return EDU_ID;
	case REG_LIVENESS:
		return edu->liveness;
	case REG_FACTORIAL:
		return edu->factorial;
	case REG_STATUS:
		return edu->status;
	case REG_IRQ_STATUS:
		return edu->irq_status;
	case REG_DMA_SRC:
		return edu->dma_src;
	case REG_DMA_DST:
		return edu->dma_dst;
	case REG_DMA_COUNT:
		return edu->dma_count;
	case REG_DMA_CMD:
		return edu->dma_cmd;
	default:
		return ~0ULL;
	}
}

/* Narrow accesses never reach the registers: they read as zeros. */
static u64 edu_read_aligned(const struct edu *edu, u64 offset, unsigned int width)
{
	if (width < 4)
		return 0;
	if (width == 8)
		return offset < REG_WIDE ? ~0ULL : edu_register(edu, offset);
	return (u32)edu_register(edu, offset);
}

/* An unaligned access is made of the two aligned ones around it, as a CPU does it. */
static u64 edu_read(struct device *dev, unsigned int bar, u64 offset, unsigned int width)
{
	struct edu *edu = device_state(dev);
	u64 base = ALIGN_DOWN(offset, width);
	unsigned int shift = 8 * (unsigned int)(offset - base);

	if (!shift)
		return edu_read_aligned(edu, offset, width);
	return edu_read_aligned(edu, base, width) >> shift |
	       edu_read_aligned(edu, base + width, width) << (8 * width - shift);
}

static void edu_write_dma(struct device *dev, u64 offset, u64 value)
{
	const struct edu_props *props = dev->props;
	struct edu *edu = device_state(dev);

	if (edu->dma_cmd & CMD_RUN)
		return;
	switch (offset) {
	case REG_DMA_SRC:
		edu->dma_src = value;
		break;
	case REG_DMA_DST:
		edu->dma_dst = value;
		break;
	case REG_DMA_COUNT:
		edu->dma_count = value;
		break;
	case REG_DMA_CMD:
		if (!(value & CMD_RUN))
			break;
		edu->dma_cmd = value;
		device_timer_arm(dev, &edu->dma_timer,
				 device_now_ns() + props->dma_delay_us * 1000);
		break;
	}
}

static void edu_write(struct device *dev, unsigned int bar, u64 offset, unsigned int width,
		      u64 value)
{
	struct edu *edu = device_state(dev);

	/* An unaligned write is made of single bytes, which are too narrow. */
	if (width < 4 || !IS_ALIGNED(offset, width) || (width == 8 && offset < REG_WIDE))
		return;
	switch (offset) {
	case REG_LIVENESS:
		edu->liveness = ~(u32)value;
		break;
	case REG_FACTORIAL:
		if (edu->status & STATUS_COMPUTING)
			break;
		edu->factorial = (u32)value;
		edu->status |= STATUS_COMPUTING;
		device_timer_arm(dev, &edu->factorial_timer, 0);
		break;
	case REG_STATUS:
		edu->status &= ~STATUS_IRQFACT;
		edu->status |= (u32)value & STATUS_IRQFACT;
		break;
	case REG_IRQ_RAISE:
		edu_raise(dev, (u32)value);
		break;
	case REG_IRQ_ACK:
		edu_ack(dev, (u32)value);
		break;
	default:
		edu_write_dma(dev, offset, value);
	}
}

static int edu_init(struct device *dev, const void *props, char **error)
{
	static const struct pci_ident ident = {
		.vendor = 0x1234,
		.device = 0x11e8,
		.subsystem_vendor = 0x1af4,
		.subsystem_device = 0x1100,
		.class_code = 0x00ff00,
		.revision = 0x10,
		.interrupt_pin = 1,
	};
	static const struct pci_bar bar = { .type = PCI_BAR_MEM32, .size = EDU_BAR_SIZE };
	struct edu *edu = device_state(dev);
	int rc;

	dev->ident = ident;
	pci_function_init(&dev->pci, &ident, false, NULL);
	rc = device_add_bar(dev, 0, &bar, DEVICE_BAR_TRAPPED);
	if (rc)
		return rc;
	rc = pci_add_msi(&dev->pci, 0x40, 1, true, false);
	if (rc < 0)
		return rc;
	edu->dma_timer.expired = edu_dma_expired;
	edu->factorial_timer.expired = edu_factorial_expired;
	return 0;
}

static void edu_fini(struct device *dev)
{
	struct edu *edu = device_state(dev);

	device_timer_cancel(&edu->dma_timer);
	device_timer_cancel(&edu->factorial_timer);
}

/* There is no reset: registers, buffer and a DMA under way stay, as in QEMU. */
static const struct prop edu_props[] = {
	{ .name = "dma-mask",
	  .type = PROP_UINT,
	  .offset = offsetof(struct edu_props, dma_mask),
	  .def = "0xfffffff",
	  .help = "bits of an address that the DMA engine drives" },
	{ .name = "dma-delay-us",
	  .type = PROP_UINT,
	  .offset = offsetof(struct edu_props, dma_delay_us),
	  .max = 60000000,
	  .help = "microseconds from the command to its DMA (QEMU: 100000)" },
	{ .name = NULL },
};

const struct device_model edu_model = {
	.name = "edu",
	.description = "educational device of QEMU: registers, factorial, DMA, INTx and MSI",
	.props = edu_props,
	.props_size = sizeof(struct edu_props),
	.state_size = sizeof(struct edu),
	.init = edu_init,
	.fini = edu_fini,
	.bar_read = edu_read,
	.bar_write = edu_write,
};
