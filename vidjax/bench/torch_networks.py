"""PyTorch's networks for the comparison: of torchvision, transformers and pytorchvideo; I3D, C3D and TSM as published.

I3D is `vidjax.models.inception` with the names of pytorch-i3d (github.com/piergiaj/pytorch-i3d), so that it loads files
of `vidjax.export --names pytorch_i3d`. C3D is figure 3 of Tran et al., 2015.
"""

from functools import partial

import torch
import torchvision
from torch import nn
from torch.nn.functional import pad, relu

from vidjax.models.inception import MIXED
from vidjax.models.layers import tf_same
from vidjax.models.vgg import C3D_STAGES


def padded_same(x, layer):
    """Applies a layer with TensorFlow's SAME padding: zeros, which suit pools whose inputs are never negative."""
    triple = lambda size: (size,) * 3 if isinstance(size, int) else size  # noqa: E731
    pads = tf_same(x.shape[2:], triple(layer.kernel_size), triple(layer.stride))
    return layer(pad(x, [p for pair in reversed(pads) for p in pair]) if any(map(any, pads)) else x)


class Unit(nn.Module):
    """Convolution, BatchNorm, ReLU."""

    def __init__(self, inputs: int, channels: int, kernel: int, stride: int = 1):
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, channels, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(channels, eps=1e-3)

    def forward(self, x):
        return relu(self.bn(padded_same(x, self.conv3d)))


class Mixed(nn.Module):
    """The Inception block for a row of `MIXED`."""

    def __init__(self, inputs: int, c0: int, c1: tuple, c2: tuple, c3: int):
        super().__init__()
        self.b0 = Unit(inputs, c0, 1)
        self.b1a, self.b1b = Unit(inputs, c1[0], 1), Unit(c1[0], c1[1], 3)
        self.b2a, self.b2b = Unit(inputs, c2[0], 1), Unit(c2[0], c2[1], 3)
        self.b3a, self.b3b = nn.MaxPool3d(3, 1), Unit(inputs, c3, 1)

    def forward(self, x):
        pooled = padded_same(x, self.b3a)
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], 1)


class I3D(nn.Module):
    """I3D for clips of 224x224 pixels."""

    def __init__(self, num_classes: int = 400, dropout: float = 0.5):
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1 = Unit(64, 64, 1)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        inputs = 192
        for name, row in MIXED.items():
            self.add_module(name, Mixed(inputs, *row))
            inputs = row[0] + row[1][1] + row[2][1] + row[3]
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Module()
        self.logits.conv3d = nn.Conv3d(inputs, num_classes, 1)
        self.small_pool, self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2)), nn.MaxPool3d(3, 2)
        self.last_pool = nn.MaxPool3d(2, 2)

    def forward(self, x):
        """(B, 3, T, 224, 224) -> logits (B, num_classes)."""
        x = padded_same(self.Conv3d_1a_7x7(x), self.small_pool)
        x = padded_same(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x)), self.small_pool)
        for name in MIXED:
            if name == "Mixed_4b":
                x = padded_same(x, self.pool)
            elif name == "Mixed_5b":
                x = padded_same(x, self.last_pool)
            x = self.get_submodule(name)(x)
        x = self.dropout(nn.functional.avg_pool3d(x, (2, 7, 7), 1))  # (B, 1024, T / 8 - 1, 1, 1)
        return self.logits.conv3d(x).mean((2, 3, 4))


class C3D(nn.Module):
    """C3D for clips of 16 frames of 112x112 pixels."""

    def __init__(self, num_classes: int = 487, dropout: float = 0.5):
        super().__init__()
        layers, inputs = [], 3
        for number, stage in enumerate(C3D_STAGES):
            for channels in stage:
                layers += [nn.Conv3d(inputs, channels, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = channels
            size, last = (2 if number else 1, 2, 2), number == len(C3D_STAGES) - 1
            layers.append(nn.MaxPool3d(size, size, padding=(0, 1, 1) if last else 0))
        self.features = nn.Sequential(*layers)
        hidden = [nn.Linear(512 * 4 * 4, 4096), nn.Linear(4096, 4096)]
        self.classifier = nn.Sequential(
            nn.Flatten(),
            *(part for layer in hidden for part in (layer, nn.ReLU(inplace=True), nn.Dropout(dropout))),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x):
        """(B, 3, 16, 112, 112) -> logits (B, num_classes)."""
        return self.classifier(self.features(x))


class OnFrames(nn.Module):
    """The mean of a 2-D network's logits over frames, like `vidjax.models.vgg`."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x):
        """(B, 3, T, H, W) -> logits (B, num_classes)."""
        batch = x.shape[0]
        frames = x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return self.network(frames).unflatten(0, (batch, -1)).mean(1)


class FrameLSTM(nn.Module):
    """An LSTM over the features of ResNet-50, and a linear classifier of its last output."""

    def __init__(self, num_classes: int, hidden: int = 512):
        super().__init__()
        self.network = torchvision.models.resnet50()
        self.network.fc = nn.Identity()
        self.lstm = nn.LSTM(2048, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, num_classes)

    def forward(self, x):
        """(B, 3, T, H, W) -> logits (B, num_classes)."""
        batch = x.shape[0]
        frames = x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return self.fc(self.lstm(self.network(frames).unflatten(0, (batch, -1)))[0][:, -1])


def vgg16(num_classes: int) -> nn.Module:
    return OnFrames(torchvision.models.vgg16(num_classes=num_classes, dropout=0.0))


class VideoMAE(nn.Module):
    """VideoMAE-B of transformers, with PyTorch's fused attention."""

    def __init__(self, num_classes: int):
        super().__init__()
        import transformers

        config = transformers.VideoMAEConfig(num_labels=num_classes, attn_implementation="sdpa")
        self.network = transformers.VideoMAEForVideoClassification(config)

    def forward(self, x):
        """(B, 3, 16, 224, 224) -> logits (B, num_classes)."""
        return self.network(x.transpose(1, 2).contiguous()).logits


class Shift(nn.Module):
    """The shift of TSM for clips of a fixed length, before a convolution (Lin et al., 2019, section 3)."""

    def __init__(self, network: nn.Module, frames: int):
        super().__init__()
        self.network, self.frames = network, frames

    def forward(self, x):
        """(B T, C, H, W) -> (B T, C', H', W')."""
        n = x.shape[1] // 8
        earlier, later, still = x.unflatten(0, (-1, self.frames)).split([n, n, x.shape[1] - 2 * n], 2)
        earlier = pad(earlier[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))
        later = pad(later[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
        return self.network(torch.cat([earlier, later, still], 2).flatten(0, 1))


def tsm(num_classes: int, frames: int = 8) -> nn.Module:
    """TSM of ResNet-50 on 8 frames."""
    network = torchvision.models.resnet50(num_classes=num_classes)
    for module in network.modules():
        if isinstance(module, torchvision.models.resnet.Bottleneck):
            module.conv1 = Shift(module.conv1, frames)
    return OnFrames(network)


def x3d(num_classes: int, frames: int, size: int) -> nn.Module:
    from pytorchvideo.models.x3d import create_x3d

    return create_x3d(model_num_class=num_classes, input_clip_length=frames, input_crop_size=size)


class SlowFast(nn.Module):
    """SlowFast on ResNet-50 of pytorchvideo, for 32 frames of 224x224."""

    def __init__(self, num_classes: int, alpha: int, fusion_kernel: int):
        super().__init__()
        from pytorchvideo.models.slowfast import create_slowfast

        self.alpha = alpha
        self.network = create_slowfast(
            model_num_class=num_classes,
            slowfast_fusion_conv_kernel_size=(fusion_kernel, 1, 1),
            slowfast_fusion_conv_stride=(alpha, 1, 1),
            head_pool_kernel_sizes=((32 // alpha, 7, 7), (32, 7, 7)),
        )

    def forward(self, x):
        """(B, 3, 32, 224, 224) -> logits (B, num_classes)."""
        return self.network([x[:, :, :: self.alpha], x])


video = torchvision.models.video
NETWORKS = {
    "i3d": I3D,
    "i3d_64": I3D,
    "c3d": C3D,
    "r2plus1d_18": video.r2plus1d_18,
    "r3d_18": video.r3d_18,
    "mc3_18": video.mc3_18,
    "s3d": partial(video.s3d, dropout=0.5),
    "vgg16": vgg16,
    "videomae_b": VideoMAE,
    "video_swin_t": video.swin3d_t,
    "mvit_v2_s": video.mvit_v2_s,
    "x3d_s": partial(x3d, frames=13, size=160),
    "x3d_m": partial(x3d, frames=16, size=224),
    "slowfast_r50_4x16": partial(SlowFast, alpha=8, fusion_kernel=5),
    "slowfast_r50_8x8": partial(SlowFast, alpha=4, fusion_kernel=7),
    "tsm": tsm,
    "cnn_lstm": FrameLSTM,
}
