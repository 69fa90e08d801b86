/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts of a PCI device (Linux: drivers/vfio/pci/vfio_pci_intrs.c). */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "vfio/vfio_pci.h"

#define SET_IRQS_MINSZ offsetofend(struct vfio_irq_set, count)

/* Where messages would go, if they went anywhere: lspci shows it. */
#define MSI_ADDRESS 0xfee00000U
#define MSI_DATA 0x4020U

/* SET_IRQS, once its header and data have been read. */
struct irq_request {
	struct vfio_pci *pci;
	struct vfio_task *task;
	u32 index, start, count;
	u32 type; /* VFIO_IRQ_SET_DATA_* */
	union {
		const u8 *bools;
		const int32_t *fds;
		const void *data;
	};
};

static bool is_intx(const struct vfio_pci *pci)
{
	return pci->irqs.type == VFIO_PCI_INTX_IRQ_INDEX;
}

static bool is_none(const struct vfio_pci *pci)
{
	return pci->irqs.type == VFIO_PCI_NUM_IRQS;
}

static void replace_fd(int *slot, int fd)
{
	if (*slot >= 0)
		close(*slot);
	*slot = fd;
}

/*
 * INTx. The function's own INTX_DISABLE is ours; it is set without the hooks of a write, since we
 * are the one who would be told.
 */

static void intx_set_disable(struct vfio_pci *pci, bool disable)
{
	struct pci_function *fn = &pci->dev->pci;
	u32 command = pci_config_get(fn, PCI_COMMAND, 2) & ~PCI_COMMAND_INTX_DISABLE;

	pci_config_set(fn, PCI_COMMAND, 2, command | (disable ? PCI_COMMAND_INTX_DISABLE : 0));
}

static bool intx_asserted(struct vfio_pci *pci)
{
	return pci_config_get(&pci->dev->pci, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

static void intx_signal(struct vfio_pci *pci)
{
	if (is_intx(pci) && !pci->irqs.virq_disabled)
		vfio_pci_signal(pci, pci->irqs.intx);
}

bool vfio_pci_intx_mask(struct vfio_pci *pci)
{
	if (!is_intx(pci)) {
		intx_set_disable(pci, true);
		return false;
	}
	if (pci->irqs.masked)
		return false;
	intx_set_disable(pci, true);
	pci->irqs.masked = true;
	return true;
}

void vfio_pci_intx_unmask(struct vfio_pci *pci)
{
	if (!is_intx(pci)) {
		intx_set_disable(pci, false);
		return;
	}
	if (!pci->irqs.masked || pci->irqs.virq_disabled)
		return;
	/* It would fire at once and be masked again. */
	if (intx_asserted(pci)) {
		intx_signal(pci);
		return;
	}
	intx_set_disable(pci, false);
	pci->irqs.masked = false;
}

/* The pin is asserted and nothing hides it. */
static void intx_fire(struct vfio_pci *pci)
{
	if (!is_intx(pci) || pci->irqs.masked)
		return;
	vfio_pci_intx_mask(pci);
	intx_signal(pci);
}

static void sink_intx(void *opaque, bool level)
{
	if (level)
		intx_fire(opaque);
}

static void sink_msi(void *opaque, unsigned int vector)
{
	struct vfio_pci *pci = opaque;
	struct vfio_pci_irqs *irqs = &pci->irqs;

	if (vector >= irqs->nr_msi)
		return;
	if (irqs->msi[vector] >= 0)
		vfio_pci_signal(pci, irqs->msi[vector]);
	else if (irqs->type == VFIO_PCI_MSIX_IRQ_INDEX)
		irqs->pending[vector] = true;
}

static const struct device_irq_sink irq_sink = {
	.intx = sink_intx,
	.msi = sink_msi,
};

static void intx_unmask_event(void *opaque)
{
	struct vfio_pci *pci = opaque;

	vfio_pci_lock(pci);
	vfio_pci_intx_unmask(pci);
	vfio_pci_unlock(pci);
}

static void intx_enable(struct vfio_pci *pci, int fd)
{
	vfio_pci_lock(pci);
	pci->irqs.intx = fd;
	pci->irqs.masked = pci->irqs.virq_disabled;
	pci->irqs.type = VFIO_PCI_INTX_IRQ_INDEX;
	intx_set_disable(pci, pci->irqs.masked);
	if (intx_asserted(pci))
		intx_fire(pci);
	vfio_pci_unlock(pci);
}

static void intx_disable(struct vfio_pci *pci)
{
	vfio_pci_virqfd_disable(pci, &pci->irqs.unmask);
	vfio_pci_lock(pci);
	replace_fd(&pci->irqs.intx, -1);
	pci->irqs.type = VFIO_PCI_NUM_IRQS;
	vfio_pci_unlock(pci);
}

static int intx_trigger(const struct irq_request *req)
{
	struct vfio_pci *pci = req->pci;
	int fd = -1;

	if (is_intx(pci) && !req->count && req->type == VFIO_IRQ_SET_DATA_NONE) {
		intx_disable(pci);
		return 0;
	}
	if (!(is_intx(pci) || is_none(pci)) || req->start || req->count != 1)
		return -EINVAL;

	if (req->type == VFIO_IRQ_SET_DATA_EVENTFD) {
		if (req->fds[0] >= 0) {
			fd = req->task->ops->get_eventfd(req->task, req->fds[0]);
			if (fd < 0)
				return fd;
		}
		if (is_intx(pci)) {
			vfio_pci_lock(pci);
			replace_fd(&pci->irqs.intx, fd);
			vfio_pci_unlock(pci);
		} else {
			intx_enable(pci, fd);
		}
		return 0;
	}

	if (!is_intx(pci))
		return -EINVAL;
	if (req->type == VFIO_IRQ_SET_DATA_NONE || req->bools[0]) {
		vfio_pci_lock(pci);
		intx_signal(pci);
		vfio_pci_unlock(pci);
	}
	return 0;
}

static int intx_set_mask(const struct irq_request *req)
{
	struct vfio_pci *pci = req->pci;

	if (!is_intx(pci) || req->start || req->count != 1)
		return -EINVAL;
	if (req->type == VFIO_IRQ_SET_DATA_EVENTFD)
		return -ENOTTY;
	if (req->type == VFIO_IRQ_SET_DATA_NONE || req->bools[0]) {
		vfio_pci_lock(pci);
		vfio_pci_intx_mask(pci);
		vfio_pci_unlock(pci);
	}
	return 0;
}

static int intx_set_unmask(const struct irq_request *req)
{
	struct vfio_pci *pci = req->pci;

	if (!is_intx(pci) || req->start || req->count != 1)
		return -EINVAL;
	if (req->type == VFIO_IRQ_SET_DATA_EVENTFD) {
		if (req->fds[0] >= 0)
			return vfio_pci_virqfd_enable(pci, req->task, &pci->irqs.unmask,
						      req->fds[0], intx_unmask_event, pci);
		vfio_pci_virqfd_disable(pci, &pci->irqs.unmask);
		return 0;
	}
	if (req->type == VFIO_IRQ_SET_DATA_NONE || req->bools[0])
		intx_unmask_event(pci);
	return 0;
}

/* MSI and MSI-X. */

static void msi_write(struct pci_function *fn, bool enable, unsigned int vectors)
{
	u32 ctrl = pci_config_get(fn, fn->msi + PCI_MSI_FLAGS, 2);
	unsigned int order = 0;

	ctrl &= ~(u32)(PCI_MSI_FLAGS_QSIZE | PCI_MSI_FLAGS_ENABLE);
	if (enable) {
		while (1U << order < vectors)
			order++;
		pci_config_write(fn, fn->msi + PCI_MSI_ADDRESS_LO, 4, MSI_ADDRESS);
		if (ctrl & PCI_MSI_FLAGS_64BIT) {
			pci_config_write(fn, fn->msi + PCI_MSI_ADDRESS_HI, 4, 0);
			pci_config_write(fn, fn->msi + PCI_MSI_DATA_64, 2, MSI_DATA);
		} else {
			pci_config_write(fn, fn->msi + PCI_MSI_DATA_32, 2, MSI_DATA);
		}
		ctrl |= PCI_MSI_FLAGS_ENABLE | order << 4;
	}
	pci_config_write(fn, fn->msi + PCI_MSI_FLAGS, 2, ctrl);
}

static void msix_write(struct pci_function *fn, bool enable)
{
	u32 ctrl = pci_config_get(fn, fn->msix_cap + PCI_MSIX_FLAGS, 2);

	ctrl &= ~(u32)(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_config_write(fn, fn->msix_cap + PCI_MSIX_FLAGS, 2,
			 ctrl | (enable ? PCI_MSIX_FLAGS_ENABLE : 0));
}

void vfio_pci_irqs_reset(struct vfio_pci *pci)
{
	memset(pci->irqs.pending, 0, pci->irqs.max_msi * sizeof(*pci->irqs.pending));
}

static unsigned int irq_count(struct vfio_pci *pci, u32 index)
{
	struct pci_function *fn = &pci->dev->pci;
	unsigned int count = 0;
	u8 pin = 0;

	switch (index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		vfio_pci_lock(pci);
		pci_virt_read(pci->virt, &pin, 1, PCI_INTERRUPT_PIN);
		vfio_pci_unlock(pci);
		count = pin ? 1 : 0;
		break;
	case VFIO_PCI_MSI_IRQ_INDEX:
		count = fn->msi ? pci_msi_vectors(fn) : 0;
		break;
	case VFIO_PCI_MSIX_IRQ_INDEX:
		count = fn->msix_cap ? fn->msix.vectors : 0;
		break;
	case VFIO_PCI_ERR_IRQ_INDEX:
		count = fn->express ? 1 : 0;
		break;
	case VFIO_PCI_REQ_IRQ_INDEX:
		count = 1;
		break;
	}
	return count;
}

static int msi_enable(struct vfio_pci *pci, u32 index, unsigned int vectors)
{
	struct vfio_pci_irqs *irqs = &pci->irqs;
	unsigned int all = irq_count(pci, index);

	if (!is_none(pci))
		return -EINVAL;
	if (!vectors)
		return -ERANGE;

	vfio_pci_lock(pci);
	for (unsigned int i = 0; i < all; i++)
		irqs->msi[i] = -1;
	irqs->nr_msi = all;
	irqs->enabled = vectors;
	irqs->type = index;
	intx_set_disable(pci, true);
	if (index == VFIO_PCI_MSI_IRQ_INDEX) {
		msi_write(&pci->dev->pci, true, vectors);
		pci_virt_set_msi(pci->virt, vectors);
	} else {
		msix_write(&pci->dev->pci, true);
	}
	vfio_pci_unlock(pci);
	return 0;
}

static void msi_disable(struct vfio_pci *pci)
{
	struct vfio_pci_irqs *irqs = &pci->irqs;

	vfio_pci_lock(pci);
	for (unsigned int i = 0; i < irqs->nr_msi; i++)
		replace_fd(&irqs->msi[i], -1);
	if (irqs->type == VFIO_PCI_MSI_IRQ_INDEX) {
		msi_write(&pci->dev->pci, false, 0);
		pci_virt_set_msi(pci->virt, 0);
	} else {
		msix_write(&pci->dev->pci, false);
	}
	intx_set_disable(pci, false);
	irqs->nr_msi = 0;
	irqs->type = VFIO_PCI_NUM_IRQS;
	vfio_pci_unlock(pci);
}

static void msi_set(struct vfio_pci *pci, unsigned int vector, int fd)
{
	struct vfio_pci_irqs *irqs = &pci->irqs;

	vfio_pci_lock(pci);
	replace_fd(&irqs->msi[vector], fd);
	if (fd >= 0 && irqs->pending[vector]) {
		irqs->pending[vector] = false;
		vfio_pci_signal(pci, fd);
	}
	vfio_pci_unlock(pci);
}

static int msi_set_vector(const struct irq_request *req, unsigned int vector, int32_t user_fd)
{
	struct vfio_pci_irqs *irqs = &req->pci->irqs;
	bool allocated = req->index == VFIO_PCI_MSIX_IRQ_INDEX || vector < irqs->enabled;
	int fd;

	if (irqs->msi[vector] >= 0)
		msi_set(req->pci, vector, -1);
	if (user_fd < 0)
		return 0;
	if (!allocated)
		return -EINVAL;
	fd = req->task->ops->get_eventfd(req->task, user_fd);
	if (fd < 0)
		return fd;
	msi_set(req->pci, vector, fd);
	return 0;
}

/* A bad descriptor takes the vectors before it along; those after it stay as they were. */
static int msi_set_block(const struct irq_request *req)
{
	unsigned int done;
	int ret = 0;

	for (done = 0; done < req->count && !ret; done++)
		ret = msi_set_vector(req, req->start + done, req->fds[done]);
	if (ret)
		for (unsigned int i = 0; i < done; i++)
			msi_set_vector(req, req->start + i, -1);
	return ret;
}

static int msi_trigger(const struct irq_request *req)
{
	struct vfio_pci *pci = req->pci;
	struct vfio_pci_irqs *irqs = &pci->irqs;
	bool ours = irqs->type == req->index;
	int ret;

	if (ours && !req->count && req->type == VFIO_IRQ_SET_DATA_NONE) {
		msi_disable(pci);
		return 0;
	}
	if (!ours && !is_none(pci))
		return -EINVAL;

	if (req->type == VFIO_IRQ_SET_DATA_EVENTFD) {
		if (ours)
			return msi_set_block(req);
		ret = msi_enable(pci, req->index, req->start + req->count);
		if (ret)
			return ret;
		ret = msi_set_block(req);
		if (ret)
			msi_disable(pci);
		return ret;
	}

	if (!ours)
		return -EINVAL;
	vfio_pci_lock(pci);
	for (u32 i = 0; i < req->count; i++)
		if (req->type == VFIO_IRQ_SET_DATA_NONE || req->bools[i])
			vfio_pci_signal(pci, irqs->msi[req->start + i]);
	vfio_pci_unlock(pci);
	return 0;
}

/* ERR and REQ: an eventfd each, which the program can also trigger itself. */
static int single_trigger(const struct irq_request *req, int *slot)
{
	struct vfio_pci *pci = req->pci;
	int fd;

	if (req->start || req->count > 1)
		return -EINVAL;
	if (req->type == VFIO_IRQ_SET_DATA_NONE && *slot < 0)
		return -EINVAL;
	if (req->type == VFIO_IRQ_SET_DATA_NONE && !req->count) {
		replace_fd(slot, -1);
		return 0;
	}
	if (!req->count)
		return -EINVAL;
	if (req->type == VFIO_IRQ_SET_DATA_EVENTFD) {
		if (req->fds[0] < -1)
			return -EINVAL;
		fd = -1;
		if (req->fds[0] >= 0) {
			fd = req->task->ops->get_eventfd(req->task, req->fds[0]);
			if (fd < 0)
				return fd;
		}
		replace_fd(slot, fd);
		return 0;
	}
	if (req->type == VFIO_IRQ_SET_DATA_NONE || req->bools[0]) {
		vfio_pci_lock(pci);
		vfio_pci_signal(pci, *slot);
		vfio_pci_unlock(pci);
	}
	return 0;
}

void vfio_pci_request(struct vfio_device *vdev)
{
	struct vfio_pci *pci = vdev->pci;

	if (!pci)
		return;
	vfio_pci_lock(pci);
	vfio_pci_signal(pci, pci->irqs.req);
	vfio_pci_unlock(pci);
}

/* ioctls */

long vfio_pci_get_irq_info(struct vfio_pci *pci, struct vfio_task *task, u64 arg)
{
	const size_t minsz = offsetofend(struct vfio_irq_info, count);
	struct vfio_irq_info info;

	if (task->ops->copy_in(task, &info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz || info.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	if (info.index == VFIO_PCI_ERR_IRQ_INDEX && !pci->dev->pci.express)
		return -EINVAL;

	info.count = irq_count(pci, info.index);
	info.flags = VFIO_IRQ_INFO_EVENTFD;
	if (info.index == VFIO_PCI_INTX_IRQ_INDEX)
		info.flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	else if (info.index != VFIO_PCI_MSIX_IRQ_INDEX || !pci->dev->pci.msix_cap)
		info.flags |= VFIO_IRQ_INFO_NORESIZE;
	return task->ops->copy_out(task, arg, &info, minsz);
}

/* The size of the data that follows the header, or -EINVAL. */
static long set_irqs_check(const struct vfio_irq_set *hdr, unsigned int irqs)
{
	const u32 known = VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK;
	size_t size;
	u32 end;

	if (hdr->argsz < SET_IRQS_MINSZ || hdr->index >= VFIO_PCI_NUM_IRQS || hdr->flags & ~known)
		return -EINVAL;
	if (__builtin_add_overflow(hdr->start, hdr->count, &end) || hdr->start >= irqs ||
	    end > irqs)
		return -EINVAL;

	switch (hdr->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		size = 0;
		break;
	case VFIO_IRQ_SET_DATA_BOOL:
		size = sizeof(u8);
		break;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		size = sizeof(int32_t);
		break;
	default:
		return -EINVAL;
	}
	size *= hdr->count;
	return hdr->argsz - SET_IRQS_MINSZ < size ? -EINVAL : (long)size;
}

static int set_irqs_run(const struct irq_request *req, u32 action)
{
	struct vfio_pci_irqs *irqs = &req->pci->irqs;
	bool trigger = action == VFIO_IRQ_SET_ACTION_TRIGGER;

	switch (req->index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		if (action == VFIO_IRQ_SET_ACTION_MASK)
			return intx_set_mask(req);
		if (action == VFIO_IRQ_SET_ACTION_UNMASK)
			return intx_set_unmask(req);
		return trigger ? intx_trigger(req) : -ENOTTY;
	case VFIO_PCI_MSI_IRQ_INDEX:
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return trigger ? msi_trigger(req) : -ENOTTY;
	case VFIO_PCI_ERR_IRQ_INDEX:
		return trigger ? single_trigger(req, &irqs->err) : -ENOTTY;
	default:
		return trigger ? single_trigger(req, &irqs->req) : -ENOTTY;
	}
}

long vfio_pci_set_irqs(struct vfio_pci *pci, struct vfio_task *task, u64 arg)
{
	cleanup_free void *data = NULL;
	struct vfio_irq_set hdr;
	struct irq_request req;
	long size;

	if (task->ops->copy_in(task, &hdr, arg, SET_IRQS_MINSZ))
		return -EFAULT;
	size = set_irqs_check(&hdr, irq_count(pci, hdr.index));
	if (size < 0)
		return size;
	if (size) {
		data = malloc((size_t)size);
		if (!data)
			return -ENOMEM;
		if (task->ops->copy_in(task, data, arg + SET_IRQS_MINSZ, (size_t)size))
			return -EFAULT;
	}
	req = (struct irq_request){
		.pci = pci,
		.task = task,
		.index = hdr.index,
		.start = hdr.start,
		.count = hdr.count,
		.type = hdr.flags & VFIO_IRQ_SET_DATA_TYPE_MASK,
		.data = data,
	};
	return set_irqs_run(&req, hdr.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK);
}

int vfio_pci_irqs_init(struct vfio_pci *pci)
{
	struct vfio_pci_irqs *irqs = &pci->irqs;
	unsigned int vectors = MAX(irq_count(pci, VFIO_PCI_MSI_IRQ_INDEX),
				   irq_count(pci, VFIO_PCI_MSIX_IRQ_INDEX));

	irqs->type = VFIO_PCI_NUM_IRQS;
	irqs->intx = irqs->err = irqs->req = -1;
	irqs->max_msi = vectors;
	irqs->msi = calloc(vectors + 1, sizeof(*irqs->msi));
	irqs->pending = calloc(vectors + 1, sizeof(*irqs->pending));
	if (!irqs->msi || !irqs->pending) {
		free(irqs->msi);
		free(irqs->pending);
		return -ENOMEM;
	}
	device_set_irq_sink(pci->dev, &irq_sink, pci);
	return 0;
}

void vfio_pci_irqs_fini(struct vfio_pci *pci)
{
	struct vfio_pci_irqs *irqs = &pci->irqs;

	if (is_intx(pci))
		intx_disable(pci);
	else if (!is_none(pci))
		msi_disable(pci);
	device_set_irq_sink(pci->dev, NULL, NULL);
	replace_fd(&irqs->err, -1);
	replace_fd(&irqs->req, -1);
	free(irqs->msi);
	free(irqs->pending);
}
