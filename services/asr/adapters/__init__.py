"""The engines that listen, one file each."""
